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
    lines = [line.split() for line in cli("lab", "list").stdout.splitlines()]
    assert lines == [
        ["NODE", "CLUSTER", "AGENT", "ADDRESSES", "POD", "CIDRS"],
        ["one", "-", "down", "-", "-"],
    ]


def test_a_command_needs_a_node(state: Path, cli: Cli) -> None:
    with pytest.raises(Refused, match="there is no node 'one'"):
        cli("lab", "exec", "one", "--", "ls", "-l")


def test_which_nodes_has_to_be_said(state: Path, cli: Cli) -> None:
    for words in (["lab", "down"], ["lab", "down", "a", "--all"]):
        with pytest.raises(UsageError, match="say which nodes, --cluster or --all"):
            cli(*words)
    with pytest.raises(UsageError, match="--pod-cidr is for one node"):
        cli("lab", "up", "a", "b", "--pod-cidr", "10.0.0.0/24")


def test_a_cluster_has_to_be_there(state: Path, cli: Cli) -> None:
    with pytest.raises(Refused, match="there is no cluster 'no-such'"):
        cli("lab", "outside", "--cluster", "no-such", "--", "true")
    with pytest.raises(Refused, match="node 'one' is in no cluster"):
        cli("lab", "link", "one", "down")
