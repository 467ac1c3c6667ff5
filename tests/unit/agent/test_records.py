"""Records come back as they were; what is broken does not come back."""

from pathlib import Path

import msgspec

from tulle.agent.records import Records


class Thing(msgspec.Struct):
    size: int


def test_saved_is_loaded_and_private(tmp_path: Path) -> None:
    store = Records(tmp_path / "things", Thing)
    store.save(("shop", "a.b"), Thing(1))
    store.save(("shop", "a.b"), Thing(2))
    assert list(Records(tmp_path / "things", Thing).load()) == [(("shop", "a.b"), Thing(2))]
    assert (tmp_path / "things/shop_a.b.json").stat().st_mode & 0o777 == 0o600


def test_removed_is_gone_and_may_be_removed_again(tmp_path: Path) -> None:
    store = Records(tmp_path, Thing)
    store.save(("shop", "a"), Thing(1))
    store.remove(("shop", "a"))
    store.remove(("shop", "a"))
    assert list(store.load()) == []


def test_half_written_and_unreadable_files_are_removed(tmp_path: Path) -> None:
    store = Records(tmp_path, Thing)
    store.save(("shop", "good"), Thing(1))
    for name, content in (("shop_a.json.new", b"{"), ("shop_b.json", b"\xff"), ("c", b"[]")):
        (tmp_path / name).write_bytes(content)
    assert list(store.load()) == [(("shop", "good"), Thing(1))]
    assert [path.name for path in tmp_path.iterdir()] == ["shop_good.json"]


def test_no_directory_is_no_record(tmp_path: Path) -> None:
    assert list(Records(tmp_path / "none", Thing).load()) == []


def test_a_write_that_was_cut_off_just_before_its_end_is_no_record(tmp_path: Path) -> None:
    store = Records(tmp_path, Thing)
    store.save(("shop", "a"), Thing(1))
    (tmp_path / "shop_a.json.new").write_bytes(b'{"size": 2}')
    for key, thing in store.load():  # saving while loading, as recovering does
        store.save(key, thing)
    assert list(store.load()) == [(("shop", "a"), Thing(1))]
