"""The Services that stand for Gateways, and the addresses that these come to."""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec
import pytest

from tests.unit.compile.routes.worlds import (
    GATEWAY,
    POOL,
    SERVICES,
    completed,
    condition,
    front,
    gateway,
    listener,
    of_gateway,
    routed,
    world_of,
)
from tulle.compile.routes import route, with_gateways
from tulle.model.kubernetes import ServicePort
from tulle.model.routing import proxied_of
from tulle.model.world import Node, World

_KEY = ("shop", "tulle-gateway-gw")
_INSIDE = "192.0.2.77"
_OUTSIDE = "198.51.100.1"


def test_a_gateway_has_a_service_with_its_listeners_ports() -> None:
    listeners = [listener(), listener("b", hostname="b.example"), listener("u", 53, "UDP")]
    lost = [listener("x", 90), listener("y", 90, "TCP")]
    infrastructure = {"labels": {"team": "x"}, "annotations": {"a.example/b": "c"}}
    world, _ = with_gateways(
        world_of(POOL, gateway(*listeners, *lost, infrastructure=infrastructure))
    )
    service = world.services[_KEY]
    assert service.spec.type == "LoadBalancer"
    assert service.spec.ports == (
        ServicePort(53, "udp-53", "UDP"),
        ServicePort(80, "tcp-80", "TCP"),
    )
    assert service.metadata.labels["team"] == "x"
    assert service.metadata.annotations == {"a.example/b": "c"}


def test_its_addresses_are_told_and_served() -> None:
    found = routed(GATEWAY)
    (given,) = of_gateway(found)["addresses"]
    assert given["type"] == "IPAddress"
    assert [str(item) for item in front(found).addresses] == [given["value"]]
    assert given["value"].startswith("192.0.2.")
    assert proxied_of(found.fronts.values()) == {
        (_KEY, address, 80, "TCP") for address in front(found).addresses
    }


@pytest.mark.parametrize(
    ("addresses", "accepted", "programmed", "served"),
    [
        ([{"value": _INSIDE}], ("True", "Accepted"), ("True", "Programmed"), [_INSIDE]),
        (
            [{"value": _OUTSIDE}, {"value": _INSIDE}],
            ("True", "Accepted"),
            ("False", "AddressNotUsable"),
            [_INSIDE],
        ),
        ([{"value": _OUTSIDE}], ("True", "Accepted"), ("False", "AddressNotUsable"), []),
        ([{"value": "no address"}], ("True", "Accepted"), ("False", "AddressNotUsable"), []),
        ([{"type": "IPAddress"}], ("True", "Accepted"), ("True", "Programmed"), None),
        (
            [{"type": "Hostname", "value": "a.example"}, {"value": _INSIDE}],
            ("False", "UnsupportedAddress"),
            ("False", "Invalid"),
            [],
        ),
        (
            [{"type": "a.example/magic", "value": "x"}],
            ("False", "UnsupportedAddress"),
            ("False", "Invalid"),
            [],
        ),
    ],
)
def test_addresses_that_are_asked_for(
    addresses: Any, accepted: Any, programmed: Any, served: list[str] | None
) -> None:
    found = routed(gateway(listener(), addresses=addresses))
    said = of_gateway(found)
    assert condition(said, "Accepted") == accepted
    assert condition(said, "Programmed") == programmed
    if served is not None:
        assert [item["value"] for item in said["addresses"]] == served
        assert ("gateway/shop/gw/80" in found.fronts) == bool(served)


def test_a_nodes_own_address_may_be_asked_for() -> None:
    base = World(node=Node(addresses=(ip_address(_OUTSIDE),)))
    asked = gateway(listener(), addresses=[{"value": _OUTSIDE}])
    found = route(completed(world_of(POOL, asked, base=base)))
    assert condition(of_gateway(found), "Programmed") == ("True", "Programmed")
    assert [str(item) for item in front(found).addresses] == [_OUTSIDE]


def test_without_a_pool_it_is_reached_within_the_mesh() -> None:
    found = route(completed(world_of(SERVICES, GATEWAY)))
    assert condition(of_gateway(found), "Programmed") == ("True", "Programmed")
    assert {item.version for item in front(found).addresses} == {4, 6}


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_it_has_no_address_that_no_workload_speaks(where: str) -> None:
    speaks = Node(pod_cidrs=(ip_network("10.244.0.0/24"),))
    here = {"node": speaks} if where == "here" else {"nodes": {"other": speaks}}
    found = route(completed(world_of(SERVICES, GATEWAY, base=World(**here))))
    assert {item.version for item in front(found).addresses} == {4}


def test_a_users_service_of_that_name_stays() -> None:
    theirs = SERVICES.replace("name: web,", "name: tulle-gateway-gw,", 1)
    world = completed(world_of(POOL, theirs, GATEWAY))
    assert world.services[_KEY].spec.selector
    found = route(world)
    assert condition(of_gateway(found), "Programmed") == ("False", "AddressNotAssigned")
    assert not found.fronts


def test_once_a_users_service_has_gone_the_gateway_has_its_own() -> None:
    theirs = SERVICES.replace("name: web,", "name: tulle-gateway-gw,", 1)
    world = world_of(POOL, theirs, GATEWAY)
    _, standing = with_gateways(world)
    gone = replace(world, services={})
    assert with_gateways(gone, standing)[0].services == with_gateways(gone)[0].services != {}


def test_parameters_that_nobody_knows() -> None:
    ref = {"group": "a.example", "kind": "Magic", "name": "x"}
    found = routed(gateway(listener(), infrastructure={"parametersRef": ref}))
    assert condition(of_gateway(found), "Accepted") == ("False", "InvalidParameters")


def test_what_has_not_changed_is_the_same_object() -> None:
    world = world_of(POOL, SERVICES, GATEWAY)
    first, standing = with_gateways(world)
    again, same = with_gateways(world, standing)
    assert again.services is first.services
    assert same is standing
    more = world_of(gateway(listener(), metadata={"name": "two"}), base=world)
    second, _ = with_gateways(more, standing)
    assert second.services[_KEY] is first.services[_KEY]
    assert ("shop", "tulle-gateway-two") in second.services
    gone, _ = with_gateways(replace(world, gateways={}), standing)
    assert gone.services is world.services


def told(*addresses: str, pools: str = POOL, **spec: Any) -> World:
    """With a Gateway of which the API says that it has these addresses."""
    world = world_of(pools, gateway(listener(), **spec))
    (key, found), *_ = world.gateways.items()
    status = {"addresses": [{"type": "IPAddress", "value": item} for item in addresses]}
    return replace(world, gateways={key: msgspec.structs.replace(found, status=status)})


def served(world: World) -> list[str]:
    return [str(item) for item in front(route(completed(world))).addresses]


def test_a_gateway_keeps_the_address_that_it_was_told_to_have() -> None:
    assert served(told(_INSIDE)) == [_INSIDE]
    assert served(told("192.0.2.78")) == ["192.0.2.78"]


_OTHER = "192.0.2.79"
_BOTH = POOL.replace("blocks: [", "blocks: [{cidr: 2001:db8::/120}, ")


@pytest.mark.parametrize(
    ("world", "others"),
    [
        (told(_OUTSIDE), told()),  # its pool has gone
        (told("a.example"), told()),
        (told(_INSIDE, _OUTSIDE), told()),
        (told(_INSIDE, pools=_BOTH), told(pools=_BOTH)),  # a family has come
        (told(_INSIDE, addresses=[{"value": _OTHER}]), told(addresses=[{"value": _OTHER}])),
    ],
)
def test_a_gateway_does_not_keep_what_it_could_not_get(world: World, others: World) -> None:
    assert served(world) == served(others)
    assert _INSIDE not in served(world)


_ASKS = "lbipam.cilium.io/ips"


def test_an_address_that_a_service_took_is_given_up() -> None:
    """Once it is told that it has it no more, it gets another."""
    taken = SERVICES.replace("{name: web,", f"{{name: a, annotations: {{{_ASKS}: {_INSIDE}}},", 1)
    taken = taken.replace("spec: {selector: {app: web}", "spec: {type: LoadBalancer", 1)
    inside = served(world_of(taken, base=told(_INSIDE)))
    assert not any(item.startswith("192.0.2.") for item in inside)
    (found,) = served(world_of(taken, base=told(*inside)))
    assert found.startswith("192.0.2.") and found != _INSIDE
