import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tulle.edges.manifests.watch import SETTLE_S, DirectoryWatch

Told = Callable[[], Awaitable[bool]]
SOON_S = 0.2  # the kernel tells within a millisecond


def watching(path: Path, check: Callable[[Told], Awaitable[None]], *, early: bool = False) -> None:
    """Run `check` with a function that waits for the watch to tell, for a little while.

    `early`: somebody takes what there is before the watch has told of it.
    """

    async def run() -> None:
        changed = asyncio.Event()
        watch = DirectoryWatch(path, changed.set)

        async def told() -> bool:
            if early:
                await asyncio.to_thread(watch.take)
            try:
                await asyncio.wait_for(changed.wait(), SOON_S)
            except TimeoutError:
                return False
            await asyncio.sleep(0.02)  # let what belongs to the same change arrive
            changed.clear()
            watch.take()
            return True

        try:
            await check(told)
        finally:
            watch.close()
            watch.close()

    asyncio.run(run())


CHANGES: dict[str, Callable[[Path], object]] = {
    "written": lambda path: (path / "a.yaml").write_text("b"),
    "new": lambda path: (path / "b.yaml").write_text("b"),
    "removed": lambda path: (path / "a.yaml").unlink(),
    "renamed-in": lambda path: (path.parent / "other").rename(path / "b.yaml"),
    "renamed-out": lambda path: (path / "a.yaml").rename(path.parent / "gone"),
    "linked": lambda path: (path / "b.yaml").symlink_to("a.yaml"),
    "permitted": lambda path: (path / "a.yaml").chmod(0o600),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changes_are_told(tmp_path: Path, change: Callable[[Path], object]) -> None:
    path = tmp_path / "manifests"
    path.mkdir()
    (path / "a.yaml").write_text("a")
    (tmp_path / "other").write_text("a")

    async def check(told: Told) -> None:
        assert not await told()
        change(path)
        assert await told()
        assert not await told()

    watching(path, check)


def test_a_file_is_told_once_its_writer_has_closed_it(tmp_path: Path) -> None:
    async def check(told: Told) -> None:
        with (tmp_path / "a.yaml").open("w") as stream:
            stream.write("half")
            stream.flush()
            assert not await told()
        assert await told()

    watching(tmp_path, check)


def test_the_directory_may_go_and_come(tmp_path: Path) -> None:
    path = tmp_path / "one" / "manifests"

    async def check(told: Told) -> None:
        path.mkdir(parents=True)
        assert await told()
        (path / "a.yaml").write_text("a")
        assert await told()
        (path / "a.yaml").unlink()
        path.rmdir()
        path.parent.rmdir()
        assert await told()
        (tmp_path / "stranger").write_text("a")
        assert not await told()
        path.parent.mkdir()
        path.mkdir()
        assert await told()
        path.rename(tmp_path / "moved")
        assert await told()
        (tmp_path / "moved" / "a.yaml").write_text("a")
        assert not await told()
        path.mkdir()
        assert await told()
        (path / "a.yaml").write_text("a")
        assert await told()

    watching(path, check)


def names_of(path: Path, change: Callable[[DirectoryWatch], Awaitable[None]]) -> None:
    async def run() -> None:
        watch = DirectoryWatch(path, lambda: None, lambda name: not name.startswith("."))
        try:
            assert watch.take() is None  # it knows nothing of what was before it
            assert watch.take() == set()
            await change(watch)
        finally:
            watch.close()

    asyncio.run(run())


def test_what_was_renamed_into_place_is_named_at_once(tmp_path: Path) -> None:
    async def change(watch: DirectoryWatch) -> None:
        (tmp_path / ".new").write_text("a")
        (tmp_path / ".new").rename(tmp_path / "a.yaml")
        assert watch.take() == {"a.yaml"}
        assert watch.take() == set()

    names_of(tmp_path, change)


def test_what_was_written_in_place_or_went_is_named_when_it_has_settled(tmp_path: Path) -> None:
    async def change(watch: DirectoryWatch) -> None:
        (tmp_path / "b.yaml").write_text("a")
        (tmp_path / "a.yaml").write_text("a")
        (tmp_path / "a.yaml").rename(tmp_path / ".a.yaml~")
        assert watch.take() == set()
        await asyncio.sleep(2 * SETTLE_S)
        assert watch.take() == {"a.yaml", "b.yaml"}

    names_of(tmp_path, change)


def test_a_directory_that_went_and_came_may_hold_anything(tmp_path: Path) -> None:
    path = tmp_path / "manifests"
    path.mkdir()

    async def change(watch: DirectoryWatch) -> None:
        path.rmdir()
        path.mkdir()
        assert watch.take() is None
        (path / "a.yaml").write_text("a")
        (path / "a.yaml").rename(path / "b.yaml")
        assert watch.take() == {"b.yaml"}

    names_of(path, change)


def test_what_was_taken_too_early_is_told_later(tmp_path: Path) -> None:
    async def check(told: Told) -> None:
        (tmp_path / "a.yaml").write_text("b")
        assert await told()

    watching(tmp_path, check, early=True)


def test_more_events_than_the_kernel_holds_mean_everything(tmp_path: Path) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())

    async def change(watch: DirectoryWatch) -> None:
        for name in ("a", "b"):
            (tmp_path / name).write_text("")
        for index in range(limit):
            (tmp_path / "ab"[index % 2]).chmod(0o600)
        assert watch.take() is None

    names_of(tmp_path, change)
