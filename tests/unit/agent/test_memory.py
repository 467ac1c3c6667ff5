"""What an agent remembers comes back whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tulle.agent.memory import Memory, recall, remember

FULL = Memory({"rule": {"a": 256}}, {"rule": 257}, {"shop/db/4": "10.96.0.10"})


def test_what_was_remembered_is_recalled(tmp_path: Path) -> None:
    path = tmp_path / "ids.json"
    remember(path, Memory())
    remember(path, FULL)
    assert recall(path) == FULL
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_ids_go_on_where_they_stood() -> None:
    assert FULL.ids.number("rule", "a") == 256
    assert FULL.ids.next == {"rule": 257}


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"next": {"rule": "x"}}', b"\xff"])
def test_what_cannot_be_read_is_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ids.json"
    if content is not None:
        path.write_bytes(content)
    assert recall(path) is None
