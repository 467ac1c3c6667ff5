"""`tulle lab` before it makes anything."""

from pathlib import Path

import pytest

from tulle.errors import Refused, UsageError

from .conftest import Cli, FakeAgent


def test_the_machine_itself_is_no_node_of_the_lab(cli: Cli) -> None:
    for verb in ("up", "down"):
        with pytest.raises(UsageError, match="the machine itself"):
            cli("lab", verb, "local")


def test_names(cli: Cli) -> None:
    with pytest.raises(UsageError, match="lower-case"):
        cli("lab", "down", "../x")


def test_list(state: Path, cli: Cli, agent: FakeAgent) -> None:
    assert "no nodes" in cli("lab", "list").stderr  # the fake agent's is `local`
    (state / "one").mkdir()
    assert cli("lab", "list").stdout.splitlines() == ["NODE   AGENT", "one    down"]


def test_a_command_needs_a_node(state: Path, cli: Cli) -> None:
    with pytest.raises(Refused, match="there is no node 'one'"):
        cli("lab", "exec", "one", "--", "ls", "-l")
