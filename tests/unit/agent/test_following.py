"""What follows changes of routes is what it would be if it were made anew."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from random import Random
from typing import Any

from tests.unit.compile.routes.worlds import (
    GATEWAY,
    POOL,
    SERVICES,
    a_route,
    world_of,
)
from tulle.agent.desired import Desired, desired
from tulle.compile import Ids
from tulle.model.world import Workload, World

_SEED, _STEPS = 29, 300
_KINDS = {
    "HTTPRoute": "http_routes",
    "GRPCRoute": "grpc_routes",
    "TCPRoute": "tcp_routes",
    "UDPRoute": "udp_routes",
}
_PARENTS: list[dict[str, Any]] = [
    {"name": "gw", "namespace": "shop"},
    {"name": "web", "namespace": "shop", "kind": "Service", "group": ""},
    {"name": "api", "namespace": "shop", "kind": "Service", "group": ""},
    {"name": "far", "namespace": "away", "kind": "Service", "group": ""},
]


def stepped(world: World, rng: Random) -> World:
    """With one change, of those that touch routes on Services most of all."""
    kind, namespace = rng.choice(sorted(_KINDS)), rng.choice(("shop", "away"))
    name, choice = rng.choice("abc"), rng.random()
    if choice < 0.25:
        routes = dict(getattr(world, _KINDS[kind]))
        routes.pop((namespace, name), None)
        return replace(world, **{_KINDS[kind]: routes})
    if choice < 0.3:
        ports = [{"name": "http", "port": 80}, {"name": "two", "port": rng.choice((81, 8080))}]
        if rng.random() < 0.3:
            ports.append({"name": "udp", "port": 80, "protocol": "UDP"})
        spec = {"selector": {"app": "web"}, "ports": ports}
        meta = {"name": "web", "namespace": "shop"}
        return world_of(
            {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}, base=world
        )
    if choice < 0.35:
        address = ip_address(f"10.0.0.{rng.randrange(1, 4)}")
        workload = Workload(namespace, "client", {}, (address,), 7)
        workloads = {} if rng.random() < 0.4 else {workload.key: workload}
        return replace(world, workloads=workloads)
    if choice < 0.4:
        annotations = {"tulle.io/proxy-scope": rng.choice(("namespace", "node"))}
        meta = {"name": namespace, "annotations": annotations}
        return world_of({"apiVersion": "v1", "kind": "Namespace", "metadata": meta}, base=world)
    parents = rng.sample(_PARENTS, rng.randrange(1, 4))
    if rng.random() < 0.3:
        parents = [{**parents[0], "port": rng.choice((80, 8080))}, *parents[1:]]
    rules: list[dict[str, Any]] = [
        {"backendRefs": [{"name": rng.choice(("web", "api")), "port": 80}]}
    ]
    return world_of(a_route(kind, name, namespace, parentRefs=parents, rules=rules), base=world)


def test_after_every_change() -> None:
    rng = Random(_SEED)
    world = world_of(POOL, SERVICES, GATEWAY)
    found: Desired | None = None
    conflicted = consumers = 0
    for step in range(_STEPS):
        world = stepped(world, rng)
        ids = found.compiled.ids if found else Ids()
        found, anew = desired(world, ids, found), desired(world, Ids())
        assert found.routing.fronts == anew.routing.fronts, step
        assert found.routing.status == anew.routing.status, step
        assert found.proxied == anew.proxied, step
        assert found.proxies.keys() == anew.proxies.keys(), step
        for scope, made in anew.proxies.items():
            assert found.proxies[scope].image == made.image, (step, scope)
        conflicted += "'Conflicted'" in str(found.routing.status)
        servers = [len(front.servers) for front in found.routing.fronts.values() if front.mesh]
        consumers += any(count > 1 for count in servers)
    assert conflicted > _STEPS / 10 and consumers > _STEPS / 100
