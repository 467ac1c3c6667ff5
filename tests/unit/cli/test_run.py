"""Any command becomes a workload; here the entrance to it is a shell."""

import json
from pathlib import Path
from typing import Any

import pytest

from tulle.cli.run import default_name
from tulle.errors import Refused
from tulle.model.paths import require_label

from .conftest import Cli, FakeAgent

ENTRANCE: dict[str, Any] = {
    "netns": "/x",
    "cgroup": "/y",
    "hosts": None,
    "addresses": ["10.244.0.2", "fd00::2"],
    "enter": ["/bin/sh", "-c", 'shift; exec "$@"', "sh"],
}
CREATE, DELETE = "POST /v1/workloads", "DELETE /v1/workloads/shop/web-1"


@pytest.fixture
def node(agent: FakeAgent) -> FakeAgent:
    agent.answers = {CREATE: (201, ENTRANCE), DELETE: (200, {})}
    return agent


def test_detached(node: FakeAgent, cli: Cli, state: Path) -> None:
    words = [
        "run",
        "--name",
        "web-1",
        "-n",
        "shop",
        "-l",
        "app=web",
        "-p",
        "http=80/tcp",
        "-p",
        "53",
    ]
    done = cli(*words, "--weight", "3", "-d", "-o", "json", "--", "echo", "-n", "hello")
    answer = json.loads(done.stdout)
    assert answer["addresses"] == ["10.244.0.2", "fd00::2"]
    log = state / "local" / "logs" / "shop_web-1.log"
    assert answer["log"] == str(log)
    assert log.read_text() == "hello"
    assert log.stat().st_mode & 0o777 == 0o600
    assert json.loads(node.asked[0][2]) == {
        "namespace": "shop",
        "name": "web-1",
        "labels": {"app": "web"},
        "ports": [
            {"name": "http", "port": 80, "protocol": "TCP"},
            {"name": "", "port": 53, "protocol": "TCP"},
        ],
        "weight": 3,
    }


def test_a_command_that_fails_right_away_leaves_no_workload(node: FakeAgent, cli: Cli) -> None:
    with pytest.raises(Refused, match=r"sh ended with exit code 3:\n  oh no"):
        cli("run", "-n", "shop", "--name", "web-1", "-d", "--", "sh", "-c", "echo oh no; exit 3")
    assert [key for key, _, _ in node.asked] == [CREATE, DELETE]
    with pytest.raises(Refused, match=r"^false ended with exit code 1 and wrote nothing$"):
        cli("run", "-n", "shop", "--name", "web-1", "-d", "--", "false")


@pytest.mark.parametrize(
    "words",
    [["-l", "app", "x"], ["-p", "http", "x"], ["-p", "0", "x"], ["-p", "1/icmp", "x"], []],
)
def test_what_makes_no_sense(cli: Cli, words: list[str]) -> None:
    cli("run", *words, code=2)


@pytest.mark.parametrize("command", ["nginx", "/usr/bin/python3.11", "./My Server.sh", "---", "é"])
def test_a_workload_without_a_name_gets_a_fit_one(command: str) -> None:
    assert require_label(default_name(command), "name")
    assert default_name(command) != default_name(command)
