"""`tulle up` before it becomes an agent."""

from pathlib import Path

import pytest

from tulle.errors import Refused, UsageError

from .conftest import Cli, FakeAgent


def test_one_agent_a_node(agent: FakeAgent, cli: Cli) -> None:
    agent.answers = {"GET /v1/status": (200, {"pid": 4242})}
    with pytest.raises(Refused, match="up already"):
        cli("up", "-d")


def test_a_node_of_the_lab_has_to_be_made(state: Path, cli: Cli) -> None:
    with pytest.raises(UsageError, match="make it with `tulle lab up elsewhere`"):
        cli("--node", "elsewhere", "up")


def test_ranges(cli: Cli) -> None:
    assert "has host bits set" in cli("up", "--pod-cidr", "10.0.0.1/8", code=2).stderr
    with pytest.raises(UsageError, match="--pod-cidr: at most one an address family"):
        cli("up", "--pod-cidr", "10.0.0.0/8", "--pod-cidr", "10.244.0.0/16")
    overlap = "--service-cidr 10.244.0.0/16 overlaps --pod-cidr 10.244.0.0/24"
    with pytest.raises(UsageError, match=overlap):
        cli("up", "--service-cidr", "10.244.0.0/16")
