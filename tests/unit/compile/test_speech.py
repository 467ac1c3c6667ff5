"""Which ports are said to speak what the kernel does not read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from tests.unit.compile.explain.town import service, town, workload
from tulle.compile import Ids, compile_world
from tulle.compile.speech import unread_ports
from tulle.model.gateway_routes import GRPCRoute
from tulle.model.kubernetes import ContainerPort
from tulle.model.world import Settings, World

API = workload("shop/api", "0.2", "{app: api}", ContainerPort(8080, "web"))


def grpc_route(namespace: str, **spec: Any) -> GRPCRoute:
    return msgspec.convert(
        {"metadata": {"name": "r", "namespace": namespace}, "spec": spec}, GRPCRoute
    )


def world(*objects: Any, of: Any = API) -> World:
    routes = [item for item in objects if isinstance(item, GRPCRoute)]
    found = town(*(item for item in objects if item not in routes))
    return replace(
        found,
        settings=Settings(stream=True),
        workloads={**found.workloads, of.key: of},
        grpc_routes={(item.metadata.namespace, item.metadata.name): item for item in routes},
    )


def said(*objects: Any, of: Any = API) -> dict[int, str]:
    """By the compiler as by `explain`."""
    now = world(*objects, of=of)
    found = unread_ports(now, now.workloads[of.key])
    assert compile_world(now, Ids()).memo.speech.of.get(of.key, ()) == found
    return dict(found)


def test_a_service_says_what_its_ports_speak() -> None:
    ports = ("{port: 80, name: grpc}", "{port: 81, name: a, appProtocol: https}", "{port: 82}")
    udp = "{port: 83, name: grpc-b, protocol: UDP}"
    assert said(service("shop/s", "{app: api}", *ports, udp)) == {
        80: "port 80 speaks HTTP/2: the name grpc in Service shop/s",
        81: "port 81 speaks TLS: appProtocol https in Service shop/s",
    }


def test_it_is_the_target_that_speaks() -> None:
    numbered = service("shop/a", "{app: api}", "{port: 80, targetPort: 9000, appProtocol: grpc}")
    named = service("shop/b", "{app: api}", "{port: 80, targetPort: web, appProtocol: grpc}")
    absent = service("shop/c", "{app: api}", "{port: 81, targetPort: other, appProtocol: grpc}")
    assert sorted(said(numbered, named, absent)) == [8080, 9000]


def test_only_who_is_selected_speaks() -> None:
    other = service("shop/a", "{app: db}", "{port: 80, appProtocol: grpc}")
    elsewhere = service("bank/a", "{app: api}", "{port: 80, appProtocol: grpc}")
    everybody = service("shop/b", "{}", "{port: 80, appProtocol: grpc}")
    assert said(other, elsewhere, everybody) == {}


def test_a_workload_speaks_for_itself() -> None:
    ports = (ContainerPort(9000, "grpc"), ContainerPort(9001, "http"), ContainerPort(9002, "h2c"))
    own = workload("shop/api", "0.2", "{app: api}", *ports, ContainerPort(53, "grpc", "UDP"))
    assert said(of=own) == {
        9000: "port 9000 speaks HTTP/2: the name grpc of the workload's own",
        9002: "port 9002 speaks HTTP/2: the name h2c of the workload's own",
    }


def test_a_grpc_route_of_the_same_namespace_tells() -> None:
    plain = service("shop/s", "{app: api}", "{port: 80, name: a}", "{port: 81, name: b}")
    parent = {"group": "", "kind": "Service", "name": "s"}
    backend = {"backendRefs": [{"name": "s", "port": 81}]}
    words = "speaks HTTP/2: GRPCRoute shop/r leads to Service shop/s"
    both = {80: f"port 80 {words}", 81: f"port 81 {words}"}
    assert said(plain, grpc_route("shop", parentRefs=[parent])) == both
    of_port = grpc_route("shop", parentRefs=[parent | {"port": 80}])
    assert said(plain, of_port) == {80: both[80]}
    gateway = grpc_route("shop", parentRefs=[{"name": "edge"}], rules=[backend])
    assert said(plain, gateway) == {81: both[81]}
    foreign = grpc_route("bank", parentRefs=[parent | {"namespace": "shop"}])
    assert said(plain, foreign) == {}


def test_it_follows_changes() -> None:
    """Step by step it comes to what it comes to from the start; nothing new is the same object."""
    plain = service("shop/s", "{app: api}", "{port: 80}")
    grpc = service("shop/s", "{app: api}", "{port: 80, appProtocol: grpc}")
    route = grpc_route("shop", parentRefs=[{"group": "", "kind": "Service", "name": "s"}])
    before = compile_world(world(plain), Ids())
    for objects in ((grpc,), (), (plain, route), (plain,), (grpc, route)):
        now = world(*objects)
        after = compile_world(now, before.ids, before=before)
        found = {key: unread_ports(now, item) for key, item in now.workloads.items()}
        assert after.memo.speech.of == {key: item for key, item in found.items() if item}
        again = compile_world(replace(now, services=dict(now.services)), after.ids, before=after)
        assert again.memo.speech.of is after.memo.speech.of
        before = again
    off = compile_world(replace(now, settings=Settings()), before.ids, before=before)
    assert not off.memo.speech.of
