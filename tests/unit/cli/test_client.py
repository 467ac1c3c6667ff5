"""The agent's answers become values, or errors that say what to do."""

import socket
from pathlib import Path

import pytest

from tulle.cli.client import Agent, workload_path
from tulle.errors import AgentDown, Broken, Refused, Unavailable
from tulle.model.paths import NodePaths

from .conftest import FakeAgent

LOCAL = Agent(NodePaths())


def test_values(agent: FakeAgent) -> None:
    agent.answers = {"POST /v1/x": (200, {"a": 1}), "GET /v1/s": (200, [{"n": 1}, {"n": 2}])}
    assert LOCAL.post("/v1/x", {"b": "é"}, [("file", "a b.yaml")]) == {"a": 1}
    assert agent.asked == [("POST /v1/x", {"file": "a b.yaml"}, b'{"b": "\\u00e9"}')]
    assert list(LOCAL.stream("/v1/s", [])) == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    ("status", "kind"), [(400, Refused), (404, Refused), (500, Broken), (503, Unavailable)]
)
def test_an_error_s_class_is_that_of_the_agent_s(
    agent: FakeAgent, status: int, kind: type[Exception]
) -> None:
    agent.answers = {"GET /v1/x": (status, {"error": "because"})}
    with pytest.raises(kind, match=r"^because$"):
        LOCAL.get("/v1/x")
    with pytest.raises(kind, match=r"^because$"):
        list(LOCAL.stream("/v1/x", []))


def test_a_partly_refused_answer_is_a_value(agent: FakeAgent) -> None:
    agent.answers = {"POST /v1/apply": (422, {"errors": ["x"]})}
    assert LOCAL.post("/v1/apply", b"") == {"errors": ["x"]}


def test_no_agent(state: Path) -> None:
    with pytest.raises(AgentDown, match=r"no agent for node 'local' \(.*agent.sock\).*`tulle up`"):
        LOCAL.get("/v1/status")


def test_a_socket_that_nobody_listens_on(state: Path) -> None:
    (state / "local").mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(state / "local" / "agent.sock"))
    with pytest.raises(AgentDown, match="start it with `tulle up`"):
        LOCAL.get("/v1/status")


def test_an_agent_that_does_not_answer(state: Path) -> None:
    (state / "local").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(state / "local" / "agent.sock"))
        listener.listen()
        with pytest.raises(Unavailable, match="does not answer"):
            LOCAL.get("/v1/status", timeout_s=0.05)


def test_names_cannot_change_the_path() -> None:
    assert workload_path("a/b", "..?x") == "/v1/workloads/a%2Fb/..%3Fx"
