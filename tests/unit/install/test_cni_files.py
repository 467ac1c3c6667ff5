"""The plugin's files on a node."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tulle.errors import Unavailable
from tulle.install.cni_files import CONFIGURATION, install, remove

SOCKET = Path("/run/tulle/local/agent.sock")


def test_the_plugin_knows_its_socket_and_runs(tmp_path: Path) -> None:
    install(tmp_path / "bin", tmp_path / "net.d", SOCKET, chained=False)
    plugin = tmp_path / "bin" / "tulle"
    assert f'SOCKET = "{SOCKET}"' in plugin.read_text()
    environment = {"CNI_COMMAND": "VERSION", "PATH": os.environ["PATH"]}
    done = subprocess.run([plugin], env=environment, capture_output=True, text=True, input="{}")
    assert "1.1.0" in json.loads(done.stdout)["supportedVersions"]
    found = json.loads((tmp_path / "net.d" / CONFIGURATION).read_text())
    assert found["plugins"] == [{"type": "tulle"}]
    assert {path.name for path in (tmp_path / "bin").iterdir()} == {"tulle", "loopback"}


def test_a_loopback_of_somebody_else_stays(tmp_path: Path) -> None:
    theirs = tmp_path / "loopback"
    theirs.write_bytes(b"\x7fELF")
    install(tmp_path, tmp_path, SOCKET, chained=False)
    remove(tmp_path, tmp_path)
    assert theirs.read_bytes() == b"\x7fELF"


def test_the_configuration_stays_the_same_file(tmp_path: Path) -> None:
    for chained in (False, False):
        install(tmp_path, tmp_path, SOCKET, chained=chained)
    before = (tmp_path / CONFIGURATION).stat().st_ino
    (tmp_path / "10-x.conflist").write_text('{"name": "x", "plugins": [{"type": "bridge"}]}')
    install(tmp_path, tmp_path, SOCKET, chained=True)
    assert (tmp_path / CONFIGURATION).stat().st_ino == before


def test_chained_behind_what_would_be_taken_without(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no other plugin's configuration"):
        install(tmp_path, tmp_path, SOCKET, chained=True)
    (tmp_path / "20-late.conf").write_text('{"cniVersion": "0.4.0", "type": "late"}')
    (tmp_path / "10-first.conflist").write_text(
        '{"cniVersion": "0.3.1", "name": "cbr0", "disableCheck": true,'
        ' "plugins": [{"type": "ptp"}, {"type": "portmap"}]}'
    )
    for _ in range(2):
        install(tmp_path, tmp_path, SOCKET, chained=True)
        found = json.loads((tmp_path / CONFIGURATION).read_text())
        assert [item["type"] for item in found.pop("plugins")] == ["ptp", "portmap", "tulle"]
        assert found == {"cniVersion": "0.3.1", "name": "cbr0", "disableCheck": True}
    (tmp_path / "10-first.conflist").unlink()
    install(tmp_path, tmp_path, SOCKET, chained=True)
    found = json.loads((tmp_path / CONFIGURATION).read_text())
    late = {"cniVersion": "0.4.0", "type": "late"}
    ours = {"cniVersion": "0.4.0", "name": "tulle", "plugins": [late, {"type": "tulle"}]}
    assert found == ours


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"plugins": [', "conflist: cannot be read"),
        ("[]", "conflist: plugins: is no list"),
        ("{}", "conflist: plugins: is no list"),
        ('{"plugins": ["ptp"]}', "conflist: plugins: is no list"),
        ('{"plugins": [{"type": "tulle"}]}', "plugins: there is none to be chained after"),
    ],
)
def test_what_cannot_be_read_is_waited_for(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "10-half.conflist").write_text(text)
    with pytest.raises(Unavailable, match=reason):
        install(tmp_path, tmp_path, SOCKET, chained=True)


def test_both_go_again(tmp_path: Path) -> None:
    install(tmp_path / "bin", tmp_path / "net.d", SOCKET, chained=False)
    for _ in range(2):
        remove(tmp_path / "bin", tmp_path / "net.d")
    assert not list((tmp_path / "bin").iterdir())
    assert not list((tmp_path / "net.d").iterdir())
