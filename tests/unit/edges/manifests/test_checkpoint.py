import json
from pathlib import Path

import pytest

from tests.hostile.valid import VALID
from tulle.edges.manifests import parse
from tulle.edges.manifests.checkpoint import Checkpoint
from tulle.edges.manifests.parse import Placed
from tulle.errors import Refused, Unavailable
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import ObjectRef

A = ObjectRef("Namespace", "", "a")


def valid() -> dict[ObjectRef, Placed]:
    items = [item for base in VALID for item in parse(json.dumps(base).encode(), "x").objects]
    return {ref_of(item.obj): item for item in items}


def namespace(name: str, **labels: str) -> Placed:
    metadata = {"name": name, "labels": labels}
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    return parse(json.dumps(document).encode(), f"{name}.json").objects[0]


def loaded(path: Path) -> dict[ObjectRef, Placed | None]:
    checkpoint = Checkpoint(path)
    by_file = checkpoint.load()
    found = {ref: checkpoint.recall(ref) for refs in by_file.values() for ref in refs}
    assert all(item is not None and ref in by_file[item.file] for ref, item in found.items())
    return found


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "c").save(valid(), valid())
    assert loaded(tmp_path / "c") == valid()
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o600


def test_no_file_is_nothing(tmp_path: Path) -> None:
    assert loaded(tmp_path / "c") == {}


def test_a_change_is_added_and_a_kill_in_the_middle_of_it_is_none(tmp_path: Path) -> None:
    path, checkpoint = tmp_path / "c", Checkpoint(tmp_path / "c")
    held = valid()
    checkpoint.save(held, held)
    size = path.stat().st_size
    held |= {A: namespace("a")}
    checkpoint.save(held, [A])
    assert loaded(path) == held
    data = path.read_bytes()
    assert size < len(data) < size + 200
    for end in range(size, len(data)):
        path.write_bytes(data[:end])
        assert loaded(path) == valid()
    checkpoint.save(valid(), [A])
    checkpoint.close()


def test_what_has_left_is_not_loaded(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "c")
    checkpoint.save({A: namespace("a")}, [A])
    checkpoint.save({A: namespace("a", new="yes")}, [A])
    assert loaded(tmp_path / "c") == {A: namespace("a", new="yes")}
    checkpoint.save({}, [A])
    assert loaded(tmp_path / "c") == {}


def test_it_is_written_anew_before_it_grows_without_end(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "c")
    checkpoint.save({}, [])
    for number in range(300):
        item = namespace("a", **{f"k{index}": "x" * 60 for index in range(60)}, number=str(number))
        checkpoint.save({A: item}, [A])
        assert (tmp_path / "c").stat().st_size < 1 << 21
    assert loaded(tmp_path / "c") == {A: item}


def test_one_that_says_it_all_already_is_left_alone(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "c").save(valid(), valid())
    inode = (tmp_path / "c").stat().st_ino
    checkpoint = Checkpoint(tmp_path / "c")
    checkpoint.load()
    checkpoint.save(valid(), valid())
    assert (tmp_path / "c").stat().st_ino == inode
    checkpoint.save({A: namespace("a")}, [A])
    assert loaded(tmp_path / "c") == {A: namespace("a")}


def test_what_is_again_as_it_was_loaded_is_written_again(tmp_path: Path) -> None:
    first, other = {A: namespace("a")}, {A: namespace("a", new="yes")}
    Checkpoint(tmp_path / "c").save(first, [A])
    checkpoint = Checkpoint(tmp_path / "c")
    checkpoint.load()
    for held in (first, other, first):
        checkpoint.save(held, [A])
        assert loaded(tmp_path / "c") == held


def test_one_that_somebody_removed_is_written_whole(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "c")
    checkpoint.save(valid(), valid())
    (tmp_path / "c").unlink()
    checkpoint.save(valid() | {A: namespace("a")}, [A])
    assert loaded(tmp_path / "c") == valid() | {A: namespace("a")}


def test_the_array_of_version_0_1_is_read(tmp_path: Path) -> None:
    old = [{"file": "x", "line": 1, "object": base} for base in VALID]
    (tmp_path / "c").write_text(json.dumps(old))
    assert loaded(tmp_path / "c") == valid()


def test_one_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file or directory"):
        Checkpoint(tmp_path / "nowhere" / "c").save({}, [])


@pytest.mark.parametrize("data", [b"{\n", b"\xff\n", b"[1]", b"{}\n", b'[{"file": "a"}]'])
def test_a_damaged_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "c").write_bytes(data)
    with pytest.raises(Refused, match="cannot be used"):
        Checkpoint(tmp_path / "c").load()


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("Nope", "{}"),
        ("Pod", "{}"),
        ("Namespace", "{}"),
        ("Namespace", '{"metadata": {"name": "A"}}'),
    ],
)
def test_a_damaged_object_is_refused_alone(tmp_path: Path, kind: str, document: str) -> None:
    ref = f'{{"kind": "{kind}", "namespace": "", "name": "x"}}'
    line = f'{{"ref": {ref}, "file": "x", "line": 1, "object": {document}}}\n'
    Checkpoint(tmp_path / "c").save({A: namespace("a")}, [A])
    with (tmp_path / "c").open("a") as stream:
        stream.write(line)
    checkpoint = Checkpoint(tmp_path / "c")
    checkpoint.load()
    assert checkpoint.recall(A) == namespace("a")
    with pytest.raises(Refused, match=f"{kind} x in .* cannot be used"):
        checkpoint.recall(ObjectRef(kind, "", "x"))
