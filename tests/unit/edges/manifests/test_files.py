import os
from pathlib import Path

import pytest

from tulle.edges.manifests.files import Files, own_name, shown, write_whole
from tulle.edges.manifests.parse import MAX_BYTES
from tulle.errors import Unavailable
from tulle.model.kubernetes import ObjectRef

GOOD = b"apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"


def error(directory: Path, name: str) -> str:
    parsed = Files(directory).load(name)
    assert parsed is not None
    assert not parsed.objects
    (bad,) = parsed.errors
    assert bad.ref is None
    return str(bad.error)


def age(path: Path) -> None:
    """As if written long ago, beyond doubt about the clock's ticks."""
    os.utime(path, ns=(0, path.stat().st_mtime_ns - 10**9))


def test_only_manifests_are_loaded_in_order_of_name(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.json", "d.txt", ".hidden.yaml", "e.yaml~", "f.yaml.swp"):
        (tmp_path / name).write_bytes(b"")
    assert [Path(file).name for file in Files(tmp_path).changed()] == [
        "a.yml",
        "b.yaml",
        "c.json",
    ]


def test_files_are_read_again_only_when_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(GOOD)
    age(path)
    files = Files(tmp_path)
    assert list(files.changed()) == [str(path)]
    assert files.changed() == {} and files.is_as_read("a.yaml")
    path.write_bytes(GOOD.replace(b"a}", b"b}"))
    assert not files.is_as_read("a.yaml")
    assert list(files.changed()) == [str(path)]
    path.unlink()
    assert files.changed() == {str(path): None}
    assert files.changed() == {}


def test_one_that_is_distrusted_is_read_again_and_its_absence_told(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(GOOD)
    age(path)
    files = Files(tmp_path)
    files.changed()
    files.distrust("a.yaml")
    assert list(files.changed()) == [str(path)]
    files.distrust("a.yaml")
    path.unlink()
    assert files.changed() == {str(path): None}


def test_a_file_of_this_very_moment_is_not_trusted_to_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(GOOD)
    files = Files(tmp_path)
    first = files.changed()
    now = path.stat().st_mtime_ns
    path.write_bytes(GOOD.replace(b"a}", b"b}"))
    os.utime(path, ns=(now, now))
    assert files.changed() != first


def test_what_cannot_be_opened_leaves_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "dir.yaml").mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        Files(tmp_path).changed()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_is_not_a_readable_file_is_refused(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside.yaml", tmp_path / "in"
    outside.write_bytes(GOOD)
    inside.mkdir()
    (inside / "link.yaml").symlink_to(outside)
    (inside / "dangling.yaml").symlink_to("nothing.yaml")
    (inside / "ring.yaml").symlink_to("ring.yaml")
    (inside / "dir.yaml").mkdir()
    os.mkfifo(inside / "pipe.yaml")
    (inside / "large.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    assert "leads out of the directory" in error(inside, "link.yaml")
    assert "link to nothing" in error(inside, "dangling.yaml")
    assert "cannot be read" in error(inside, "ring.yaml")
    assert "not a regular file" in error(inside, "dir.yaml")
    assert "not a regular file" in error(inside, "pipe.yaml")
    assert "larger than 1 MiB" in error(inside, "large.yaml")
    assert len(Files(inside).changed()) == 6


def test_links_within_the_directory_are_followed(tmp_path: Path) -> None:
    """As a mounted ConfigMap has them: a.yaml → ..data/a.yaml."""
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "a.yaml").write_bytes(GOOD)
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    files = Files(tmp_path)
    parsed = files.load("a.yaml")
    assert parsed is not None
    assert parsed.objects[0].file == str(tmp_path / "a.yaml")
    assert files.links_beside("..data") == {"a.yaml"}
    assert not files.is_as_read("a.yaml") and list(files.changed()) == [str(tmp_path / "a.yaml")]


def test_names_of_any_bytes_are_shown(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\n.yaml")
    (tmp_path / name).write_bytes(b"{")
    (file,) = Files(tmp_path).changed()
    assert file == f"{tmp_path}/\\udcff\\n.yaml"
    assert shown(Path("a/b.yaml")) == "a/b.yaml"


def test_own_names_are_readable_and_never_those_of_another_object() -> None:
    assert own_name(ObjectRef("Service", "shop", "web")) == "service.shop.web.yaml"
    assert own_name(ObjectRef("Namespace", "", "shop")) == "namespace._.shop.yaml"
    long = [ObjectRef("NetworkPolicy", "n" * 63, "a" * 252 + last) for last in "bc"]
    names = {own_name(ref) for ref in long}
    assert len(names) == 2
    assert all(len(f".{name}.tmp") <= 255 and "_" in name for name in names)
    dotted = [ObjectRef("EndpointSlice", "a", "b.c"), ObjectRef("EndpointSlice", "b", "c")]
    assert len({own_name(ref) for ref in dotted}) == 2


def test_writing_is_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write_whole(path, [b"o", b"ne"])
    write_whole(path, [b"two"])
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.yaml"]


def test_a_write_that_fails_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file or directory"):
        write_whole(tmp_path / "missing" / "a.yaml", [b""])
