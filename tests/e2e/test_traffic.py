"""Traffic policies in the whole: from a manifest to what workloads get."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.conftest import Clusters
from tests.e2e.field import listed_addresses, pool
from tests.e2e.mesh import HERE, Cluster, Json, Mesh, service, wait_for
from tests.proxy.tokens import Key

GATEWAYS = "gateway.networking.k8s.io"
DOOR = "192.0.2.10"
ISSUER = "https://issuer.example"
WEB = {"group": "", "kind": "Service", "name": "web"}
KEY = Key()


@pytest.fixture(scope="module")
def cluster(clusters: Clusters) -> Iterator[Cluster]:
    with clusters("traffic", ("a",)) as made:
        address = listed_addresses(made["a"].name)[4]
        made.outside("ip", "route", "replace", f"{DOOR}/32", "via", address)
        yield made


@pytest.fixture(scope="module")
def town(cluster: Cluster) -> Mesh:
    mesh = cluster["a"]
    for client in ("client-1", "client-2"):
        mesh.run(client, "sleep", "inf", app="client")
    for name in ("web-1", "web-2"):
        mesh.serve(name, app="web")
    mesh.run("auth-1", sys.executable, str(HERE / "authorizer.py"), app="auth")
    wait_for(lambda: mesh.exec("auth-1", "ss", "-Hltn", "sport = :9000").strip() != "")
    mesh.apply(service("web", "web"), *(_service(name, 9000) for name in ("auth", "gone")))
    return mesh


def _service(name: str, port: int) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"app": name}, "ports": [{"port": port}]},
    }


def policy(kind: str, name: str = "web", target: Json = WEB, **spec: object) -> Json:
    return {
        "apiVersion": "tulle.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"targetRefs": [target], **spec},
    }


@contextmanager
def applied(mesh: Mesh, *objects: Json) -> Iterator[None]:
    mesh.apply(*objects)
    try:
        yield
    finally:
        mesh.delete(*objects)


def ask(mesh: Mesh, client: str, *headers: str, count: int = 1, family: int = 4) -> list[str]:
    """Statuses of requests, each over a connection of its own; 000 is none."""
    given = " ".join(f"-H '{text}'" for text in headers)
    command = f"curl -s -m 5 -{family} -o /dev/null -w '%{{http_code}}\\n' {given} http://web/"
    loop = f"for i in $(seq {count}); do {command}; done"
    return mesh.exec(client, "sh", "-c", loop).split()


def refused(town: Mesh) -> set[str]:
    """Who has asked too much."""
    flows = town.flows("--last", "1000", "--protocol", "http")
    return {
        flow["source"]["pod_name"] for flow in flows if "too many requests" in flow.get("rule", "")
    }


@pytest.mark.parametrize("family", [4, 6])
def test_each_workload_has_a_limit_that_it_cannot_get_round(town: Mesh, family: int) -> None:
    limit = {"requests": 3, "interval": "1h", "per": "Client"}
    with applied(town, policy("RateLimitPolicy", f"v{family}", limits=[limit])):
        assert ask(town, "client-1", count=4, family=family) == ["200"] * 3 + ["429"]
        forged = "X-Forwarded-For: 192.0.2.1"
        assert ask(town, "client-1", forged, family=family) == ["429"]
        assert ask(town, "client-2", count=4, family=family) == ["200"] * 3 + ["429"]
        wait_for(lambda: refused(town) == {"client-1", "client-2"})  # once the proxy has told
    assert ask(town, "client-1", count=5, family=family) == ["200"] * 5


def test_nobody_passes_unasked(town: Mesh) -> None:
    def asking(name: str) -> Json:
        backend = {"name": name, "port": 9000}
        http = {"allowedHeaders": ["x-pass"]}
        external = {"protocol": "HTTP", "backendRef": backend, "http": http}
        return policy("AuthPolicy", external=external)

    with applied(town, asking("auth")):
        assert ask(town, "client-1", "X-Pass: yes") == ["200"]
        assert ask(town, "client-1") == ["403"]
        town.apply(asking("gone"))
        assert ask(town, "client-1", "X-Pass: yes") == ["503"]
        town.apply(asking("nowhere"))
        assert ask(town, "client-1", "X-Pass: yes") == ["503"]
        (told,) = [item for item in town.status()["refused"] if "AuthPolicy" in item["object"]]
        assert "BackendNotFound: there is no Service shop/nowhere" in told["reason"]


def tokens(**more: object) -> Json:
    jwks = {"inline": json.dumps({"keys": [KEY.jwk]})}
    return {"providers": [{"name": "corp", "issuer": ISSUER, "jwks": jwks}], **more}


def bearing(key: Key) -> str:
    return f"Authorization: Bearer {key.token(iss=ISSUER)}"


def test_tokens(town: Mesh) -> None:
    with applied(town, policy("AuthPolicy", jwt=tokens())):
        assert ask(town, "client-1") == ["401"]
        assert ask(town, "client-1", bearing(KEY)) == ["200"]
        assert ask(town, "client-1", bearing(Key())) == ["401"]


def test_no_route_gets_round_what_a_gateway_overrides(cluster: Cluster, town: Mesh) -> None:
    gateway = {"group": GATEWAYS, "kind": "Gateway", "name": "door"}
    route = {"group": GATEWAYS, "kind": "HTTPRoute", "name": "web"}
    for_all = policy("AuthPolicy", "all", gateway, jwt=tokens())
    for_one = policy("AuthPolicy", "one", route, jwt=tokens(optional=True))
    limit = {"requests": 2, "interval": "1h", "per": "Client"}
    few = policy("RateLimitPolicy", "few", gateway, limits=[limit])

    def outside(*headers: str) -> str:
        words = [word for header in headers for word in ("-H", header)]
        quiet = ("curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}")
        return cluster.outside(*quiet, *words, f"http://{DOOR}/", check=False)

    with applied(town, pool(), *_door()):
        wait_for(lambda: outside() == "200", timeout_s=10)
        with applied(town, for_all, for_one):
            assert [outside(), outside(bearing(KEY)), outside(bearing(Key()))] == [
                *("200", "200", "401")
            ]
            overriding = {**for_all, "spec": {**for_all["spec"], "override": True}}
            town.apply(overriding)
            assert [outside(), outside(bearing(KEY))] == ["401", "200"]
        with applied(town, few):
            forged = [outside(f"X-Forwarded-For: 192.0.2.{number}") for number in range(4)]
            assert forged == ["200", "200", "429", "429"]


def _door() -> list[Json]:
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    return [
        _of_gateways(
            "Gateway",
            "door",
            gatewayClassName="tulle",
            addresses=[{"value": DOOR}],
            listeners=[listener],
        ),
        _of_gateways(
            "HTTPRoute",
            "web",
            parentRefs=[{"name": "door"}],
            rules=[{"backendRefs": [{"name": "web", "port": 80}]}],
        ),
    ]


def _of_gateways(kind: str, name: str, **spec: object) -> Json:
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": f"{GATEWAYS}/v1", "kind": kind, "metadata": metadata, "spec": spec}


def test_faults_on_purpose(town: Mesh) -> None:
    fault = policy("FaultInjectionPolicy", abort={"status": 418})
    with applied(town, fault):
        assert ask(town, "client-1") == ["418"]


def test_a_user_sticks_to_a_backend(town: Mesh) -> None:
    balancing = {"type": "RingHash", "hashOn": [{"type": "Header", "name": "x-user"}]}
    with applied(town, policy("BackendTrafficPolicy", loadBalancing=balancing)):
        command = "curl -s -H 'X-User: {}' http://web/; echo"
        homes = [
            town.exec("client-1", "sh", "-c", ";".join([command.format(user)] * 3)).split()
            for user in range(12)
        ]
        assert all(len(set(home)) == 1 for home in homes)
        assert {home[0] for home in homes} == {"web-1", "web-2"}


def test_a_session_stays_at_its_backend(town: Mesh) -> None:
    session = {"type": "Cookie", "cookie": {"name": "s"}}
    with applied(town, policy("BackendTrafficPolicy", sessionPersistence=session)):
        fresh = "for i in $(seq 16); do curl -s http://web/; echo; done"
        kept = "jar=$(mktemp); trap 'rm $jar' EXIT; "
        sticky = kept + fresh.replace("curl -s", "curl -s -b $jar -c $jar")
        assert len(set(town.exec("client-1", "sh", "-c", sticky).split())) == 1
        assert len(set(town.exec("client-1", "sh", "-c", fresh).split())) == 2


def test_the_younger_of_two_is_told(town: Mesh) -> None:
    first, second = (policy("RateLimitPolicy", name, limits=[{"requests": 1}]) for name in "ab")
    with applied(town, first, second):
        (told,) = [item for item in town.status()["refused"] if "shop/b" in item["object"]]
        assert "Conflicted: RateLimitPolicy shop/a is older" in told["reason"]


def test_what_says_nothing_any_more_leaves_the_kernel_to_it(town: Mesh) -> None:
    words = ("explain", "shop/client-1", "shop/web", "--port", "80")
    with applied(town, policy("RateLimitPolicy", limits=[{"requests": 100}])):
        assert "rung 3" in town.tulle(*words, "--http", "GET /")
    assert "rung 3" not in town.tulle(*words)
    assert ask(town, "client-1", count=3) == ["200"] * 3
