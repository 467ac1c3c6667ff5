"""What an agent remembers comes back whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tulle.agent.memory import recall, remember
from tulle.compile.ids import Ids

FULL = Ids({"rule": {"a": 256}}, {"rule": 257})


def test_what_was_remembered_is_recalled(tmp_path: Path) -> None:
    path = tmp_path / "ids.json"
    remember(path, Ids())
    remember(path, FULL)
    assert recall(path) == FULL
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_version_0_1_remembered_beside_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "ids.json"
    path.write_text(
        '{"taken": {"rule": {"a": 256}}, "next": {"rule": 257}, "addresses": {"a": ""}}'
    )
    assert recall(path) == FULL


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"next": {"rule": "x"}}', b"\xff"])
def test_what_cannot_be_read_is_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ids.json"
    if content is not None:
        path.write_bytes(content)
    assert recall(path) is None
