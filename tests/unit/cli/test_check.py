"""What `tulle check` says of what it found."""

import json

import pytest

from tulle.cli import check, preflight
from tulle.cli.preflight import Check

from .conftest import Cli

GOOD = Check("veth", True, "made", (1,))
BAD = Check("tcx", False, "Invalid argument", (1,), "install Linux 6.6")


def test_a_rung_needs_all_of_its_things() -> None:
    unknown = Check("hooks", None, "not tried", (0,))
    assert check.rungs([GOOD]) == {0: True, 1: True, 2: True, 3: True}
    assert check.rungs([GOOD, BAD]) == {0: True, 1: False, 2: True, 3: True}
    assert check.rungs([unknown]) == {0: False, 1: True, 2: True, 3: True}
    assert check.rungs([Check("BTF", False, "no", ())]) == {0: True, 1: True, 2: True, 3: True}


def test_text_and_exit_code(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "preflight", lambda: iter([GOOD, BAD]))
    assert cli("check", code=1).stdout.splitlines() == [
        "ok       veth             made",
        "missing  tcx              Invalid argument",
        "                          costs rung 1 (packet): install Linux 6.6",
        "",
        "rung 0 (socket): works here",
        "rung 1 (packet): cannot work here",
        "rung 2 (stream): works here",
        "rung 3 (node proxy): works here",
    ]
    monkeypatch.setattr(preflight, "preflight", lambda: iter([GOOD]))
    answer = json.loads(cli("check", "-o", "json").stdout)
    assert answer["checks"][0]["name"] == "veth"
    assert [item["rung"] for item in answer["rungs"]] == [0, 1, 2, 3]
    assert answer["rungs"][1] == {"rung": 1, "name": "packet", "works": True}


def test_a_node_without_a_proxy_is_one(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = Check("node proxy", False, "Envoy is not installed", (3,), "install it")
    monkeypatch.setattr(preflight, "preflight", lambda: iter([GOOD, lost]))
    lines = cli("check").stdout.splitlines()
    assert lines[2].strip() == "costs rung 3 (node proxy): install it"
    assert lines[-1] == "rung 3 (node proxy): cannot work here"
