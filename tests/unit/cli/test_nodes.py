"""Starting and stopping agents, without one."""

from pathlib import Path

import pytest

from tulle.cli import nodes
from tulle.cli.client import Agent
from tulle.errors import Broken, Refused
from tulle.model.paths import NodePaths

from .conftest import FakeAgent

LOCAL = Agent(NodePaths())


def test_one_agent_a_node(agent: FakeAgent) -> None:
    agent.answers = {"GET /v1/status": (200, {"pid": 4242})}
    assert nodes.running_pid(LOCAL) == 4242
    with pytest.raises(Refused, match=r"up already \(pid 4242\)"):
        nodes.start(LOCAL)


def test_an_agent_that_does_not_come_up_shows_its_log(state: Path) -> None:
    with pytest.raises(Broken, match=r"ended with exit code 2; the end of .*\n(.*\n)*.*--nonsense"):
        nodes.start(LOCAL, ["--nonsense"])
    assert nodes.log_path(LOCAL).stat().st_mode & 0o777 == 0o600
    assert nodes.running_pid(LOCAL) is None
