"""Files, directories and stdin are sent whole; what is refused stops nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from tulle.errors import AgentDown, UsageError

from .conftest import Cli, FakeAgent

APPLIED: dict[str, Any] = {
    "results": [{"object": "Service shop/web", "result": "created"}],
    "errors": [],
    "enforced_ms": 11.6,
}
DELETED = {"results": [{"object": "Service shop/web", "result": "deleted"}], "errors": []}


def test_apply_says_what_it_did(agent: FakeAgent, cli: Cli, tmp_path: Path) -> None:
    agent.answers = {"POST /v1/apply": (200, APPLIED)}
    (tmp_path / "shop.yaml").write_bytes(b"kind: Service")
    done = cli("apply", "-f", str(tmp_path / "shop.yaml"))
    assert done.stdout == "Service shop/web created\nin force after 12 ms\n"
    file = {"file": str(tmp_path / "shop.yaml")}
    assert agent.asked == [("POST /v1/apply", file, b"kind: Service")]


def test_what_is_not_right_is_warned_of_once_all_is_applied(agent: FakeAgent, cli: Cli) -> None:
    route = {"object": "HTTPRoute shop/web", "result": "created"}
    agent.answers = {
        "POST /v1/apply": (200, {**APPLIED, "results": [*APPLIED["results"], route]}),
        "POST /v1/warnings": (200, {"warnings": ["HTTPRoute shop/web: BackendNotFound"]}),
    }
    done = cli("apply", "-f", "-", stdin=b"x")
    assert done.stderr == "warning: HTTPRoute shop/web: BackendNotFound\n"
    assert agent.asked[-1] == ("POST /v1/warnings", {}, b'["HTTPRoute shop/web"]')


def test_errors_go_to_stderr_and_are_exit_code_1(agent: FakeAgent, cli: Cli) -> None:
    error = "-:5:11: spec.ports[1].port: Expected int <= 65535"
    agent.answers = {"POST /v1/apply": (422, {**APPLIED, "errors": [error]})}
    done = cli("apply", "-f", "-", stdin=b"x", code=1)
    assert done.stdout.startswith("Service shop/web created\n")
    assert done.stderr == f"tulle: {error}\n"
    assert agent.asked == [("POST /v1/apply", {"file": "-"}, b"x")]


def test_a_directory_stands_for_its_manifests(agent: FakeAgent, cli: Cli, tmp_path: Path) -> None:
    agent.answers = {"POST /v1/delete": (200, DELETED)}
    directory = tmp_path / "manifests"
    directory.mkdir()
    for name in ("b.yml", "a.yaml", "c.json", "notes.txt", "d.yaml~"):
        (directory / name).touch()
    cli("delete", "-f", str(directory))
    names = [Path(query["file"]).name for _, query, _ in agent.asked]
    assert names == ["a.yaml", "b.yml", "c.json"]


def test_what_holds_no_object_does_nothing(agent: FakeAgent, cli: Cli) -> None:
    agent.answers = {"POST /v1/apply": (200, {"results": [], "errors": [], "enforced_ms": 0})}
    with pytest.raises(UsageError, match="-: there are no objects in it"):
        cli("apply", "-f", "-", stdin=b"# nothing")


def test_a_file_that_is_refused_whole_stops_no_other(
    agent: FakeAgent, cli: Cli, tmp_path: Path
) -> None:
    agent.answers = {"POST /v1/apply": (400, {"error": "too big"})}
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).touch()
    files = [str(tmp_path / name) for name in ("a.yaml", "b.yaml")]
    done = cli("apply", "-f", files[0], "-f", files[1], "-o", "json", code=1)
    assert json.loads(done.stdout)["errors"] == [f"{name}: too big" for name in files]


@pytest.mark.parametrize("name", ["missing.yaml", "empty"])
def test_what_cannot_be_read_is_said_before_anything_is_sent(
    agent: FakeAgent, cli: Cli, tmp_path: Path, name: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "good.yaml").touch()
    with pytest.raises(UsageError, match=name):
        cli("apply", "-f", str(tmp_path / "good.yaml"), "-f", str(tmp_path / name))
    assert agent.asked == []


def test_no_agent(state: Path, cli: Cli) -> None:
    with pytest.raises(AgentDown):
        cli("apply", "-f", "-", stdin=b"x")
