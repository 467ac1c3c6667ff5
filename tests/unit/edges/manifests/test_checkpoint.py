import json
from pathlib import Path

import pytest

from tests.hostile.valid import VALID
from tulle.edges.manifests import checkpoint, parse
from tulle.edges.manifests.settle import settle
from tulle.errors import Refused


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    files = {base["kind"]: parse(json.dumps(base).encode(), base["kind"]) for base in VALID}
    held, _ = settle(files, {})
    checkpoint.save(tmp_path / "c", held)
    assert checkpoint.load(tmp_path / "c") == held
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o600


def test_no_file_is_nothing(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path / "c") == {}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b"{}",
        b"[1]",
        b'[{"file": "a", "line": 1, "object": {}}]',
        b'[{"file": "a", "line": 1, "object": {"kind": []}}]',
        b'[{"file": "a", "line": 1, "object": {"kind": "Nope"}}]',
        b'[{"file": "a", "line": 1, "object": {"kind": "Pod"}}]',
        b'[{"file": "a", "line": 1, "object": {"kind": "Namespace", "metadata": {"name": "A"}}}]',
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "c").write_bytes(data)
    with pytest.raises(Refused, match="cannot be used"):
        checkpoint.load(tmp_path / "c")
