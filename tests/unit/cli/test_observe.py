"""Filters go to the agent as they are; flows come back as text."""

import json
from contextlib import nullcontext

import pytest

from tests.unit.observe.samples import NAMES, event
from tulle.cli.group import main
from tulle.errors import AgentDown
from tulle.observe.filters import parse
from tulle.observe.flows import flow_of

from .conftest import Cli, FakeAgent

FLOW = flow_of(event(), NAMES)


def asked(agent: FakeAgent) -> dict[str, str]:
    return agent.asked[-1][1]


def test_formats(agent: FakeAgent, cli: Cli) -> None:
    agent.answers = {"GET /v1/flows": (200, [FLOW, FLOW])}
    lines = cli("observe").stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("FORWARDED (TCP Flags: SYN) NetworkPolicy shop/db ingress[0]")
    assert json.loads(cli("observe", "-o", "json").stdout.splitlines()[0])["flow"] == FLOW
    assert "DECIDED BY: NetworkPolicy" in cli("observe", "-o", "dict").stdout


def test_filters(agent: FakeAgent, cli: Cli) -> None:
    agent.answers = {"GET /v1/flows": (200, [])}
    cli(
        "observe",
        "--from-pod",
        "shop/web",
        "--to-pod",
        "a",
        "--to-pod",
        "b",
        "--verdict",
        "DROPPED",
    )
    assert asked(agent) == {
        "from-pod": "shop/web",
        "to-pod": "a,b",
        "verdict": "DROPPED",
        "last": "20",
    }


def test_nothing_to_show_is_said(agent: FakeAgent, cli: Cli) -> None:
    agent.answers = {"GET /v1/flows": (200, [])}
    assert cli("observe").stderr == "no flows\n"
    assert cli("observe", "--pod", "nobody").stderr == "no such flows\n"
    assert cli("observe", "--pod", "nobody", "-o", "json").stdout == ""


def test_a_filter_that_makes_no_sense_is_exit_code_2(
    agent: FakeAgent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.answers = {"GET /v1/flows": (400, {"error": "verdict 'NO': must be", "usage": True})}
    monkeypatch.setattr("sys.argv", ["tulle", "observe", "--verdict", "NO"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "verdict 'NO': must be" in capsys.readouterr().err


def test_how_much_is_shown(agent: FakeAgent, cli: Cli) -> None:
    agent.answers = {"GET /v1/flows": (200, [])}
    for words, params in (
        (["-f"], {"follow": "1", "since": "0s"}),
        (["-f", "--last", "5"], {"follow": "1", "last": "5"}),
        (["--since", "5m"], {"since": "5m"}),
        (["--first", "3"], {"first": "3"}),
    ):
        # a follower's stream ends only when the agent does
        with pytest.raises(AgentDown) if "-f" in words else nullcontext():
            cli("observe", *words)
        assert asked(agent) == params
        parse(params.items(), 0)


def test_every_filter_of_the_command_line_is_one_that_the_agent_knows() -> None:
    from tulle.cli.observe import FILTERS

    values = {
        "port": "1",
        "ip": "::1",
        "protocol": "tcp",
        "verdict": "DROPPED",
        "http-status": "404",
    }
    for name in FILTERS:
        value = values.get(name.removeprefix("from-").removeprefix("to-"), "POLICY_DENIED")
        parse([(name, value)], 0)
