"""Manifests, compiled and served by the real Envoy: what a route's words come to in requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.backends import Backend, backends
from tests.proxy.certs import Authority
from tests.proxy.client import ask
from tests.proxy.envoy import serving
from tests.proxy.mesh import HERE, free_port, image, services
from tests.unit.compile.routes.certs import secret
from tests.unit.compile.routes.test_ingress import ingress, path, rule
from tests.unit.compile.routes.worlds import (
    GATEWAY,
    POOL,
    completed,
    http_route,
    with_paths,
    world_of,
)
from tulle.compile.routes import route

_NAMES = ("a", "b", "c")
_SERVICES = "\n---\n".join(
    f"""
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{selector: {{app: {name}}}, ports: [{{port: 80}}]}}
"""
    for name in _NAMES
)


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Backend]]:
    with backends(*_NAMES) as made:
        yield made


@contextmanager
def served(place: Path, servers: dict[str, Backend], *texts: Any) -> Iterator[dict[int, int]]:
    """The port here that stands for each port of the fronts."""
    routing = route(completed(world_of(POOL, _SERVICES, *texts)))
    ports = {front.port: free_port() for front in routing.fronts.values()}
    fronts = [
        replace(front, addresses=(HERE,), port=ports[front.port])
        for front in routing.fronts.values()
    ]
    parts = services({name: item.port for name, item in servers.items()})
    with serving(image(parts, *fronts), place):
        yield ports


def to(name: str) -> dict[str, Any]:
    return {"service": {"name": name, "port": {"number": 80}}}


def via(name: str, *paths: str) -> list[dict[str, Any]]:
    rules = with_paths(*paths)
    return [{**item, "backendRefs": [{"name": name, "port": 80}]} for item in rules]


@pytest.mark.parametrize(
    ("host", "where", "backend"),
    [
        # the table of path types in the Ingress documentation
        ("paths.example", "/foo", "a"),
        ("paths.example", "/foo/", "b"),
        ("paths.example", "/foo/x", "b"),
        ("paths.example", "/foobar", "c"),
        ("paths.example", "/FOO", "c"),
        # a wildcard is one label
        ("x.wild.example", "/", "a"),
        ("x.wild.example:8080", "/", "a"),
        ("X.Wild.Example", "/", "a"),
        ("y.x.wild.example", "/", "c"),
        ("wild.example", "/", "c"),
        # an exact host before a wildcard, and what it has not
        ("one.wild.example", "/only", "b"),
        ("one.wild.example", "/", "a"),
        ("none.other", "/", "c"),
    ],
)
def test_ingress(host: str, where: str, backend: str, everything: dict[int, int]) -> None:
    assert ask(everything[80], where, host=host).backend == backend


@pytest.fixture(scope="module")
def everything(
    servers: dict[str, Backend], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[int, int]]:
    rules = [
        rule(path("/foo", "Exact", to("a")), path("/foo", "Prefix", to("b")), host="paths.example"),
        rule(path("/", "Prefix", to("a")), host="*.wild.example"),
        rule(path("/only", "Prefix", to("b")), host="one.wild.example"),
    ]
    wanted = ingress("i", *rules, defaultBackend=to("c"))
    with served(tmp_path_factory.mktemp("envoy"), servers, wanted) as ports:
        yield ports


def test_ingress_with_certificates(servers: dict[str, Backend], tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    made = {name: authority.issue(name) for name in ("a.example", "b.example")}
    tls = [{"hosts": [name], "secretName": name} for name in made]
    secrets = [secret(name, item.chain, item.key) for name, item in made.items()]
    wanted = ingress(
        "i",
        *(rule(path("/", "Prefix", to(name[0])), host=name) for name in made),
        tls=tls,
    )
    with served(tmp_path, servers, *secrets, wanted) as ports:
        for name in made:
            answer = ask(ports[443], host=name, tls=authority.client(), sni=name)
            assert answer.backend == name[0]
        assert ask(ports[80], host="a.example").backend == "a"


def test_a_less_specific_hostname_takes_what_is_left(
    servers: dict[str, Backend], tmp_path: Path
) -> None:
    with served(
        tmp_path,
        servers,
        GATEWAY,
        http_route("one", hostnames=["www.example"], rules=via("a", "/a")),
        http_route("wide", hostnames=["*.example"], rules=via("b", "/a", "/b")),
        http_route("any", rules=via("c", "/a/longer", "/c")),
    ) as ports:
        for where, backend in (("/a/longer", "a"), ("/b", "b"), ("/c", "c")):
            assert ask(ports[80], where, host="www.example").backend == backend
        assert ask(ports[80], "/a/longer", host="x.example").backend == "b"
        assert ask(ports[80], "/d", host="www.example").status == 404
        assert ask(ports[80], "/b", host="www.other").status == 404
