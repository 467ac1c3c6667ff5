"""What is committed in deploy/ is compared with what gives it."""

from __future__ import annotations

from pathlib import Path

from tools.gen_deploy import DEPLOY, differing, generate, write


def test_what_is_committed_is_what_is_generated() -> None:
    assert list(differing(generate(), DEPLOY)) == []


def test_what_differs_is_told(tmp_path: Path) -> None:
    files = {"tulle.yaml": "a\n", "chart/values.yaml": "b\n"}
    write(files, tmp_path)
    assert list(differing(files, tmp_path)) == []
    (tmp_path / "chart/values.yaml").write_text("c\n")
    (tmp_path / "chart/extra.yaml").write_text("")
    (tmp_path / "tulle.yaml").unlink()
    assert list(differing(files, tmp_path)) == [
        "deploy/tulle.yaml is not what src/tulle/install gives",
        "deploy/chart/values.yaml is not what src/tulle/install gives",
        "deploy/chart/extra.yaml: nothing gives it",
    ]
    write(files, tmp_path)
    assert list(differing(files, tmp_path)) == []
