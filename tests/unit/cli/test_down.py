"""What `tulle down` says; what it does takes a node (tests/datapath)."""

import json

import pytest

from tulle.cli.client import Agent
from tulle.cli.down import report_down
from tulle.model.paths import NodePaths


def test_report(capsys: pytest.CaptureFixture[str]) -> None:
    agent = Agent(NodePaths("a"))
    report_down(agent, ["shop/web-1"], "text")
    assert capsys.readouterr().out == "stopped shop/web-1\nnode a is down\n"
    report_down(agent, [], "json")
    assert json.loads(capsys.readouterr().out) == {"node": "a", "stopped": []}
