"""Traffic policies in the whole: from a manifest to what workloads get."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.mesh import HERE, Json, Mesh, service, wait_for
from tests.proxy.tokens import Key

WEB = {"group": "", "kind": "Service", "name": "web"}
KEY = Key()


@pytest.fixture(scope="module")
def town(mesh: Mesh) -> Mesh:
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


def policy(kind: str, name: str = "web", **spec: object) -> Json:
    return {
        "apiVersion": "tulle.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"targetRefs": [WEB], **spec},
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


@pytest.mark.parametrize("family", [4, 6])
def test_each_workload_has_a_limit_that_it_cannot_get_round(town: Mesh, family: int) -> None:
    limit = {"requests": 3, "interval": "1h", "per": "Client"}
    with applied(town, policy("RateLimitPolicy", f"v{family}", limits=[limit])):
        assert ask(town, "client-1", count=4, family=family) == ["200"] * 3 + ["429"]
        forged = "X-Forwarded-For: 192.0.2.1"
        assert ask(town, "client-1", forged, family=family) == ["429"]
        assert ask(town, "client-2", count=4, family=family) == ["200"] * 3 + ["429"]
        refused = [flow for flow in town.flows() if "too many requests" in flow.get("rule", "")]
        assert {flow["source"]["pod_name"] for flow in refused} == {"client-1", "client-2"}
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


def test_tokens(town: Mesh) -> None:
    provider = {
        "name": "corp",
        "issuer": "https://issuer.example",
        "jwks": {"inline": json.dumps({"keys": [KEY.jwk]})},
    }
    with applied(town, policy("AuthPolicy", jwt={"providers": [provider]})):
        assert ask(town, "client-1") == ["401"]
        good, bad = (
            f"Authorization: Bearer {key.token(iss='https://issuer.example')}"
            for key in (KEY, Key())
        )
        assert ask(town, "client-1", good) == ["200"]
        assert ask(town, "client-1", bad) == ["401"]


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
