import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tulle.edges.manifests.watch import DirectoryWatch

Told = Callable[[], Awaitable[bool]]
SOON_S = 0.2  # the kernel tells within a millisecond


def watching(path: Path, check: Callable[[Told], Awaitable[None]]) -> None:
    """Run `check` with a function that waits for the watch to tell, for a little while."""

    async def run() -> None:
        changed = asyncio.Event()
        watch = DirectoryWatch(path, changed.set)

        async def told() -> bool:
            try:
                await asyncio.wait_for(changed.wait(), SOON_S)
            except TimeoutError:
                return False
            await asyncio.sleep(0.02)  # let what belongs to the same change arrive
            changed.clear()
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
