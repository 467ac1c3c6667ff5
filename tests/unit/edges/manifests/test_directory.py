import asyncio
from pathlib import Path

import pytest

from tests.hostile.manifests import hostile_manifests
from tulle.edges.manifests import ManifestDirectory, Snapshot, parse
from tulle.errors import Unavailable, UsageError
from tulle.model.kinds import KubernetesObject, ref_of
from tulle.model.kubernetes import Namespace, ObjectRef, Pod

A, B = ObjectRef("Namespace", "", "a"), ObjectRef("Namespace", "", "b")
TEXT_A = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"
TEXT_B = "apiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n"


def obj(text: str) -> KubernetesObject:
    (placed,) = parse(text.encode(), "-").objects
    return placed.obj


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "manifests").mkdir()
    return tmp_path / "manifests"


def open_(path: Path) -> ManifestDirectory:
    return ManifestDirectory(path, path.parent / "last-good.json")


def refs_in(snapshot: Snapshot) -> set[ObjectRef]:
    return {ref_of(item) for named in snapshot.kinds.values() for item in named.values()}


def refs(directory: ManifestDirectory) -> set[ObjectRef]:
    return refs_in(directory.scan())


def test_files_are_scanned(path: Path) -> None:
    directory = open_(path)
    assert not refs(directory)
    (path / "x.yaml").write_text(f"{TEXT_A}---\n{TEXT_B}")
    assert refs(directory) == {A, B}
    (path / "x.yaml").unlink()
    assert not refs(directory)


def test_the_good_version_survives_a_restart(path: Path) -> None:
    (path / "x.yaml").write_text(TEXT_A)
    open_(path).scan()
    (path / "x.yaml").write_text("{[")
    snapshot = open_(path).scan()
    assert refs_in(snapshot) == {A}
    assert "Namespace a: the previous version stays in force" in snapshot.refusals[0].reason


def test_what_left_while_nobody_looked_is_gone(path: Path) -> None:
    (path / "x.yaml").write_text(f"{TEXT_A}---\n{TEXT_B}")
    open_(path).scan()
    (path / "x.yaml").write_text(TEXT_B)
    assert refs(open_(path)) == {B}


def test_what_left_while_nobody_looked_does_not_come_back(path: Path) -> None:
    file = path / "x.yaml"
    file.write_text(TEXT_A)
    open_(path).scan()
    file.unlink()
    assert not refs(open_(path))
    file.write_text("{[")
    assert not refs(open_(path))


def test_the_checkpoint_is_written_only_on_change(path: Path) -> None:
    (path / "x.yaml").write_text(TEXT_A)
    directory = open_(path)
    directory.scan()
    (path.parent / "last-good.json").unlink()
    directory.scan()
    assert not (path.parent / "last-good.json").exists()
    (path / "y.yaml").write_text(TEXT_B)
    directory.scan()
    assert (path.parent / "last-good.json").exists()


def test_a_checkpoint_that_cannot_be_used_or_written_is_said(path: Path) -> None:
    (path / "x.yaml").write_text(TEXT_A)
    (path.parent / "last-good.json").write_text("{\n")
    snapshot = open_(path).scan()
    assert refs_in(snapshot) == {A}
    assert snapshot.refusals[0].ref.kind == "Checkpoint"
    nowhere = ManifestDirectory(path, path / "nowhere" / "c")
    assert "a restart would not know" in nowhere.scan().refusals[0].reason


def test_a_directory_that_is_away_changes_nothing(path: Path) -> None:
    (path / "x.yaml").write_text(TEXT_A)
    directory = open_(path)
    directory.scan()
    path.rename(path.parent / "elsewhere")
    snapshot = directory.scan()
    assert refs_in(snapshot) == {A}
    assert "the previous objects stay in force" in snapshot.refusals[0].reason
    with pytest.raises(Unavailable):
        directory.put(obj(TEXT_B))
    path.mkdir()
    assert not refs(directory)


def test_put_and_remove(path: Path) -> None:
    directory = open_(path)
    directory.put(obj(TEXT_A))
    assert (path / "namespace._.a.yaml").stat().st_mode & 0o777 == 0o600
    assert refs(directory) == {A}
    directory.put(obj(TEXT_A.replace("}", ", labels: {x: z}}")))
    now = directory.scan().get(A)
    assert now and now.metadata.labels == {"x": "z"}
    assert directory.remove(A)
    assert not directory.remove(A)
    assert not refs(directory)


def test_objects_of_the_users_files_are_left_to_the_user(path: Path) -> None:
    (path / "x.yaml").write_text(f"{TEXT_A}---\n{TEXT_B}")
    directory = open_(path)
    directory.scan()
    directory.put(obj(TEXT_B))  # is so already
    with pytest.raises(UsageError, match=r"Namespace b is defined at .*/x.yaml:5: change it there"):
        directory.put(obj(TEXT_B.replace("}", ", labels: {x: z}}")))
    with pytest.raises(UsageError, match="remove it there"):
        directory.remove(B)
    (path / "x.yaml").write_text(TEXT_A)
    directory.put(obj(TEXT_B))  # the user's own has gone, also if no scan saw it go


def test_an_own_file_that_a_user_added_to_is_the_users(path: Path) -> None:
    directory = open_(path)
    (path / "namespace._.a.yaml").write_text(f"{TEXT_A}---\n{TEXT_B}")
    with pytest.raises(UsageError, match=r"namespace._.a.yaml:1"):
        directory.remove(A)
    (path / "namespace._.a.yaml").write_text(TEXT_B)
    with pytest.raises(UsageError, match=r"namespace._.a.yaml: change"):
        directory.put(obj(TEXT_A))


def test_an_own_file_that_a_user_broke_is_mended_by_put(path: Path) -> None:
    directory = open_(path)
    directory.put(obj(TEXT_A))
    directory.scan()
    (path / "namespace._.a.yaml").write_text("{[")
    assert refs(directory) == {A}
    directory.put(obj(TEXT_A))
    assert not directory.scan().refusals


def test_an_object_that_would_not_be_read_again_is_not_written(path: Path) -> None:
    rule = "{podSelector: {matchLabels: {app: web}}}"
    policy = (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n"
        f"spec: {{podSelector: {{}}, ingress: [{{from: &p [{', '.join([rule] * 9000)}]}}, "
        "{from: *p}]}"
    )
    with pytest.raises(UsageError, match="too large"):
        open_(path).put(obj(policy))
    assert not list(path.iterdir())


def test_hostile_files_leave_the_rest_in_force(path: Path) -> None:
    (path / "good.yaml").write_text(TEXT_A)
    hostile = hostile_manifests()
    for number, (_, data) in enumerate(hostile):
        (path / f"{number:04}.yaml").write_bytes(data)
    snapshot = open_(path).scan()
    assert refs_in(snapshot) == {A}
    assert len(snapshot.refusals) == len(hostile)


def test_with_a_watch_only_what_it_tells_of_is_read(path: Path) -> None:
    (path / "x.yaml").write_text(TEXT_A)
    (path / "y.yaml").write_text(TEXT_B)
    directory = open_(path)

    async def story() -> None:
        directory.watch(lambda: None)
        first = directory.scan()
        assert directory.scan() is first
        (path / "new").write_text(TEXT_A.replace("}", ", labels: {x: z}}"))
        (path / "new").rename(path / "x.yaml")
        second = directory.scan()
        assert second.named(Namespace)["a"].metadata.labels == {"x": "z"}
        assert second.named(Namespace)["b"] is first.named(Namespace)["b"]
        assert second.of(Pod) is first.of(Pod)

        directory.unwatch()

    asyncio.run(story())


def test_with_a_watch_what_is_put_and_removed_is_seen_at_once(path: Path) -> None:
    directory = open_(path)

    async def story() -> None:
        directory.watch(lambda: None)
        directory.put(obj(TEXT_A))
        assert refs(directory) == {A}
        directory.remove(A)
        assert refs(directory) == set()
        directory.unwatch()

    asyncio.run(story())


def test_with_a_watch_links_are_followed_when_what_they_lead_through_changes(path: Path) -> None:
    """As a mounted ConfigMap changes: ..data, through which all links lead, is replaced."""
    for number, text in enumerate((TEXT_A, TEXT_B)):
        (path / f"..{number}").mkdir()
        (path / f"..{number}" / "x.yaml").write_text(text)
    (path / "..data").symlink_to("..0")
    (path / "x.yaml").symlink_to("..data/x.yaml")
    directory = open_(path)

    async def story() -> None:
        directory.watch(lambda: None)
        assert refs(directory) == {A}
        (path / "..tmp").symlink_to("..1")
        (path / "..tmp").rename(path / "..data")
        assert refs(directory) == {B}
        directory.unwatch()

    asyncio.run(story())


def test_a_reread_finds_what_the_watch_missed(path: Path) -> None:
    (path / "data").mkdir()
    (path / "data" / "x.yaml").write_text(TEXT_A)
    (path / "x.yaml").symlink_to("data/x.yaml")
    directory = open_(path)

    async def story() -> None:
        directory.watch(lambda: None)
        assert refs(directory) == {A}
        (path / "data" / "x.yaml").write_text(TEXT_B)
        assert refs(directory) == {A}
        directory.reread()
        assert refs(directory) == {B}
        directory.unwatch()

    asyncio.run(story())
