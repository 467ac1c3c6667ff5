"""`tulle install-cni`: the node's files, with the socket of the agent it is for."""

from __future__ import annotations

from pathlib import Path

from .conftest import Cli


def test_files_come_and_go(cli: Cli, tmp_path: Path) -> None:
    places = (f"--bin-dir={tmp_path / 'bin'}", f"--conf-dir={tmp_path / 'net.d'}")
    cli("--node", "b", "install-cni", *places)
    assert '"/run/tulle/b/agent.sock"' in (tmp_path / "bin/tulle").read_text()
    assert (tmp_path / "net.d/05-tulle.conflist").exists()
    cli("install-cni", "--remove", *places)
    assert not (tmp_path / "net.d/05-tulle.conflist").exists()
