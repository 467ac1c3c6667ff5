"""Real programs behave under the stream rung as if nobody were between them.

What a client makes of its server over the mesh, it makes of it over the server's own loopback.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.e2e import programs, web
from tests.e2e.conftest import Clusters
from tests.e2e.mesh import Json, Mesh, wait_for

# Whose requests the kernel judges.
HTTP = ("nginx", "websocket", *web.PORTS)
PATHS = {"watched": tuple(programs.SERVERS), "held": HTTP}
TABLE = [(path, name) for path, names in PATHS.items() for name in names]
METHODS = "GET|HEAD|POST|PUT"
REFUSED = ["200 1", "403 0", "200 1", "403", "HTTP/1.1 403", "200 1", [200, 403, 200], []]
ROOT = Path(__file__).parents[2]
PROGRAM = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.e2e.programs")
HOMES: dict[str, Any] = {}
POLICY: Json = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumNetworkPolicy",
    "metadata": {"namespace": "shop"},
}


class Town:
    """A node with all servers, and a client."""

    def __init__(self, mesh: Mesh, place: Path, *labels: str) -> None:
        """`labels` are the servers'."""
        self.mesh, self._place = mesh, place
        self._labels = [word for label in labels for word in ("-l", label)]

    def start(self) -> None:
        self.mesh.run("client", "sleep", "inf")
        for name in programs.SERVERS:
            place = self._place / name
            place.mkdir()
            line = ("-d", "-n", "shop", "--name", name, "-l", f"app={name}")
            serve = (*PROGRAM, "serve", name, str(place))
            self.mesh.tulle("run", *line, *self._labels, "--", *serve)
        for name in programs.SERVERS:
            self._await(name)

    def _await(self, name: str) -> None:
        listens = ("ss", "-Hltn", f"sport = :{programs.PORTS[name]}")
        wait_for(lambda: self.mesh.exec(name, *listens) != "", 60)

    @property
    def addresses(self) -> dict[str, str]:
        return {item["name"]: item["addresses"][0] for item in self.mesh.get("endpoints")}

    def ask_at_home(self, name: str) -> Any:
        """Once for all towns: it is the same program."""
        if name not in HOMES:
            HOMES[name] = self._told(name, "ask", name, "127.0.0.1")
        return HOMES[name]

    def ask(self, name: str) -> Any:
        return self._told("client", "ask", name, self.addresses[name])

    def refuse(self, name: str) -> Any:
        return self._told("client", "refuse", name, self.addresses[name])

    def _told(self, inside: str, verb: str, name: str, host: str) -> Any:
        return json.loads(self.mesh.exec(inside, *PROGRAM, verb, name, host))

    def judge(self, names: tuple[str, ...]) -> None:
        """From now on by a rule that allows every request but to DELETE."""
        self.mesh.apply(*(policy(name) for name in names))


def policy(name: str) -> Json:
    port = {"port": str(programs.PORTS[name]), "protocol": "TCP"}
    rules = {"http": [{"method": METHODS, "path": "/.*"}]}
    ingress = {"toPorts": [{"ports": [port], "rules": rules}]}
    spec = {"endpointSelector": {"matchLabels": {"app": name}}, "ingress": [ingress]}
    return POLICY | {"metadata": {"name": name, "namespace": "shop"}, "spec": spec}


@contextmanager
def a_town(clusters: Clusters, name: str, option: str, *labels: str) -> Iterator[Town]:
    """Its files are where servers that give up being root can read them."""
    with (
        TemporaryDirectory(prefix="tulle-programs-") as place,
        clusters(name, ("a",), option) as cluster,
    ):
        Path(place).chmod(0o755)
        made = Town(cluster["a"], Path(place), *labels)
        made.start()
        yield made


@pytest.fixture(scope="module")
def town(clusters: Clusters) -> Iterator[Town]:
    with a_town(clusters, "programs", "--stream", "tulle.io/observe=http") as made:
        yield made


@pytest.fixture(scope="module")
def path(request: pytest.FixtureRequest, town: Town) -> str:
    if request.param == "held":
        town.judge((*HTTP, "grpc"))
    return str(request.param)


@pytest.mark.parametrize(("path", "name"), TABLE, indirect=["path"])
def test_a_program_is_as_it_is_at_home(town: Town, path: str, name: str) -> None:
    assert town.ask(name) == town.ask_at_home(name)


@pytest.mark.parametrize("name", web.PORTS)
def test_a_refusal_ends_its_connection_and_nothing_else(town: Town, name: str) -> None:
    """The next one is served, also by who waits for one client at a time; nothing was seen."""
    assert town.refuse(name) == REFUSED


def test_programs_are_as_at_home_where_bytes_go_from_socket_to_socket(clusters: Clusters) -> None:
    with a_town(clusters, "short", "--short-circuit") as town:
        for name in programs.SERVERS:
            assert town.ask(name) == town.ask_at_home(name), name
        ended = town.mesh.status()["short_circuit"]["ended"]
        assert ended["call"] and ended["bytes"]  # by sendfile, and by answers that are large


def requests(town: Town) -> dict[tuple[str, str], int]:
    """By route and status."""
    found: dict[tuple[str, str], int] = {}
    for row in town.mesh.get("requests"):
        key = row["route"], row["status"]
        found[key] = found.get(key, 0) + row["requests"]
    return found


def test_an_upgrade_and_an_error_are_counted_once_on_either_path(town: Town) -> None:
    """Each client asks for its own once. wrk leaves requests without answers when it ends."""
    counted = requests(town)
    for route in ("other", "/.*"):
        assert counted.pop((route, "1xx")) == counted.pop((route, "4xx")) == 1
        assert counted.pop((route, "2xx")) > 50
        assert counted.pop((route, "not seen"))
    assert counted == {("-", "refused"): 5 * len(web.PORTS)}


def test_each_request_is_counted_once(town: Town) -> None:
    """Of three that overtake answers no status is told: which is whose can nobody say then."""
    before = requests(town)
    town.ask("recv")
    more = {key: count - before[key] for key, count in requests(town).items()}
    assert {key: count for key, count in more.items() if count} == {
        ("/.*", "2xx"): 35,
        ("/.*", "not seen"): 3,
    }


def test_calls_of_grpc_are_seen_once_each_and_refused_under_rules(town: Town) -> None:
    """Where nobody judges requests HTTP/2 passes; where the kernel does, it cannot."""
    flows = town.mesh.flows("--to-pod", "shop/grpc", "--last", "200")
    url = f"http://{town.addresses['grpc']}:{programs.PORTS['grpc']}/test.Echo/Talk"
    call: Json = {"code": 200, "method": "POST", "url": url, "protocol": "HTTP/2"}
    call["headers"] = [{"key": "grpc-status", "value": "0"}]
    seen = [flow["l7"]["http"] for flow in flows if "l7" in flow]
    assert seen == [call] * (1 + programs.GRPC_MORE)
    refused = requests(town)["-", "refused"]
    assert isinstance(town.ask("grpc"), str)
    wait_for(lambda: requests(town)["-", "refused"] == refused + 1)


def test_a_service_that_says_what_it_speaks_has_its_rules_in_the_proxy(town: Town) -> None:
    """Whoever is asked by the pod's own address is judged by what its Service says, too."""
    town.judge(("grpc",))
    port = {"port": 80, "targetPort": programs.PORTS["grpc"], "appProtocol": "grpc"}
    metadata = {"name": "talk", "namespace": "shop"}
    spec = {"selector": {"app": "grpc"}, "ports": [port]}
    town.mesh.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    (row,) = (item for item in town.mesh.get("rungs") if "shop/grpc ingress[0]" in item["rule"])
    why = "port 83 speaks HTTP/2: appProtocol grpc in Service shop/talk"
    assert (row["rung"], row["why"]) == (3, why)
    assert town.ask("grpc") == town.ask_at_home("grpc")
