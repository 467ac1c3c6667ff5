"""A pass after a pass: the outcome is that of a first one, and what stood is the same object."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec
import pytest

from tests.unit.compile.services.shop import (
    HERE,
    PLENTY,
    ZONE,
    Passes,
    changed,
    listing,
    pod,
    reasons,
    selecting,
    service,
    town,
)
from tulle.compile.ids import Allocator
from tulle.compile.services import ServiceParts, service_parts, with_addresses
from tulle.model.kubernetes import ContainerPort
from tulle.model.world import World

WORLD = town(
    pod("db-2"),
    pod("web-3", app="web", ports=(ContainerPort(80, host_port=8080),)),
    pod("db-4", node="near"),
    text=selecting("db") + selecting("web") + service("out") + listing("192.0.2.11", of="out"),
)


def fresh(world: World, passes: Passes) -> ServiceParts:
    """The same numbers, but nothing else remembered."""
    filled, _ = with_addresses(world)
    return service_parts(filled, Allocator(passes.ids), passes.limits)


def replaced(parts: ServiceParts, before: ServiceParts) -> set[object]:
    names = parts.parts.keys() | before.parts.keys()
    return {name for name in names if parts.parts.get(name) is not before.parts.get(name)}


def test_nothing_new_is_nothing_done() -> None:
    passes = Passes()
    first = passes.run(WORLD)
    again = passes.run(replace(WORLD))
    assert again.parts is first.parts
    assert again.names is first.names
    assert again.addresses is first.addresses


def moved(world: World, key: tuple[str, str], node: str = "", **fields: Any) -> World:
    """A workload that changes where it is."""
    if not node:
        new = replace(world.workloads[key], **fields)
        return replace(world, workloads={**world.workloads, key: new})
    group = world.remote[node]
    group = {**group, key: replace(group[key], **fields)}
    return replace(world, remote={**world.remote, node: group})


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (moved(WORLD, ("shop", "db-4"), "near", ready=False), {("service", "shop", "db")}),
        (moved(WORLD, ("shop", "db-2"), weight=3), {("service", "shop", "db")}),
        (moved(WORLD, ("shop", "db-2"), service_account="x"), set()),
        (
            moved(WORLD, ("shop", "web-3"), labels={"app": "db"}),
            {("service", "shop", "web"), ("service", "shop", "db")},
        ),
        (moved(WORLD, ("shop", "web-3"), ports=()), {("hostPort", "shop", "web-3")}),
        (replace(WORLD, workloads={}), 3),
        (replace(WORLD, remote={}), {("service", "shop", "db")}),
        (replace(WORLD, slices={}), {("service", "shop", "out")}),
        (changed(WORLD, "db", selector={"app": "web"}), {("service", "shop", "db")}),
        (changed(WORLD, "db", session_affinity="ClientIP"), {("service", "shop", "db")}),
        (replace(WORLD, node=replace(HERE, addresses=())), {("hostPort", "shop", "web-3")}),
    ],
)
def test_only_what_something_came_of_is_another_part(world: World, expected: Any) -> None:
    passes = Passes()
    before = passes.run(WORLD)
    after = passes.run(world)
    found = replaced(after, before)
    assert found == expected or len(found) == expected
    assert after.parts == fresh(world, passes).parts


def test_a_slice_that_becomes_another_services() -> None:
    passes = Passes()
    passes.run(WORLD)
    item = WORLD.slices["shop", "a"]
    labels = {"kubernetes.io/service-name": "web"}
    moved_on = msgspec.structs.replace(
        item, metadata=msgspec.structs.replace(item.metadata, labels=labels)
    )
    world = replace(WORLD, slices={("shop", "a"): moved_on})
    assert passes.run(world).parts == fresh(world, passes).parts


LOOSE = town(
    pod("x-9", app="x"),
    text=service("db", "type: NodePort, externalTrafficPolicy: Local, ports: [{port: 80}]")
    + listing("10.0.0.9", "10.0.0.8"),
)


def test_an_address_that_becomes_this_nodes_is_local() -> None:
    passes = Passes()
    before = passes.run(LOOSE)
    after = passes.run(replace(LOOSE, workloads={}))
    assert replaced(after, before) == {("service", "shop", "db")}
    assert after.parts == fresh(replace(LOOSE, workloads={}), passes).parts


NEAR = town(
    pod("db-2"),
    pod("db-4", node="near"),
    pod("db-5", node="far"),
    text=selecting(more="trafficDistribution: PreferClose") + selecting("web"),
)


@pytest.mark.parametrize(
    "world",
    [
        replace(NEAR, node=replace(HERE, labels={ZONE: "b"})),
        replace(
            NEAR, nodes={**NEAR.nodes, "near": replace(NEAR.nodes["near"], labels={ZONE: "b"})}
        ),
        replace(NEAR, node=replace(HERE, name="elsewhere")),
    ],
    ids=["this node's zone", "another's", "this node's name"],
)
def test_nodes_that_move_to_another_zone(world: World) -> None:
    passes = Passes()
    passes.run(NEAR)
    assert passes.run(world).parts == fresh(world, passes).parts


def test_an_address_goes_to_the_next_service_that_has_it() -> None:
    spec = "externalIPs: [192.0.2.9], ports: [{port: %d}]"
    text = service("a", spec % 80) + service("b", spec % 81) + service("c", spec % 80)
    passes, world = Passes(), town(text=text)
    assert len(passes.run(world).refusals) == 1
    left = replace(world, services={k: v for k, v in world.services.items() if k[1] != "a"})
    parts = passes.run(left)
    assert not parts.refusals
    assert parts.parts == fresh(left, passes).parts


def test_groups_keep_their_numbers_and_lose_them_with_their_service() -> None:
    passes = Passes()
    before = passes.run(WORLD).names
    less = replace(WORLD, services={k: v for k, v in WORLD.services.items() if k[1] != "db"})
    after = passes.run(less).names
    assert after.keys() < before.keys()
    assert {number: str(item) for number, item in after.items()}.items() <= {
        number: str(item) for number, item in before.items()
    }.items()
    assert set(passes.ids.taken["service"].values()) == set(after)
    again = passes.run(WORLD).names
    assert set(again) - set(after) and not (set(again) - set(after)) & set(before)


def test_a_workload_and_a_service_of_one_name_do_not_mix() -> None:
    text = service("web-3", "clusterIP: 10.96.0.1, ports: [{port: 80}]")
    world = town(pod("web-3", ports=(ContainerPort(80, host_port=8080),)), text=text)
    passes = Passes()
    passes.run(world)
    parts = passes.run(replace(world, workloads={}))
    assert ("shop", "web-3") in parts.addresses and len(parts.parts) == 1


# --- room ----------------------------------------------------------------------------------------


def crowded(count: int) -> World:
    text = "".join(
        service(f"s{index}", f"clusterIP: 10.96.0.{index + 1}, ports: [{{port: 80}}]")
        + listing("192.0.2.11", "192.0.2.12", name=f"s{index}", of=f"s{index}")
        for index in range(count)
    )
    return town(pod("web-3", ports=(ContainerPort(80, host_port=8080),)), text=text)


@pytest.mark.parametrize(
    ("name", "limit"), [("slots", 5), ("backends", 5), ("services", 2), ("ipcache", 2)]
)
def test_what_finds_no_room_is_left_out_whole_and_by_name(name: str, limit: int) -> None:
    passes = Passes({**PLENTY, name: limit})
    parts = passes.run(crowded(3))
    left_out = [text for text in reasons(parts) if text.startswith("Service")]
    assert left_out == [f"Service shop/s2: map {name} is full (limit {limit})"]
    assert ("service", "shop", "s2") not in parts.parts
    used = sum(len(part.get(name, {})) for part in parts.parts.values())
    assert used <= limit
    assert all(item.service.name != "s2" for item in parts.in_force())
    assert parts.parts == fresh(crowded(3), passes).parts


def test_it_is_in_force_as_soon_as_there_is_room() -> None:
    passes = Passes({**PLENTY, "slots": 5})
    before = passes.run(crowded(3))
    after = passes.run(crowded(2))
    assert not after.refusals
    assert before.parts["service", "shop", "s0"] == after.parts["service", "shop", "s0"]
    assert len(after.parts) == 3  # with the host port
    assert len(passes.run(crowded(3)).refusals) == 1


# --- any change after any other ------------------------------------------------------------------


def random_world(draw: random.Random) -> World:
    pods = [
        pod(
            f"p-{index}",
            node=draw.choice(["", "", "near", "far"]),
            app=draw.choice("ab"),
            ready=draw.random() < 0.8,
            terminating=draw.random() < 0.2,
            weight=draw.choice([0, 1, 1, 5]),
            ports=(ContainerPort(80, host_port=8080),) if draw.random() < 0.2 else (),
        )
        for index in range(2, 9)
        if draw.random() < 0.8
    ]
    text = "".join(_random_service(draw, name) for name in "abcd" if draw.random() < 0.8)
    text += "".join(
        listing(
            *(
                f"addresses: [10.0.0.{draw.randrange(2, 12)}], zone: {draw.choice('ab')}"
                + draw.choice(["", ", nodeName: here", ", nodeName: far"])
                for _ in range(3)
            ),
            name=name,
            of=draw.choice("abcd"),
        )
        for name in "xyz"
        if draw.random() < 0.5
    )
    world = town(*pods, text=text, dsr=draw.random() < 0.3)
    return replace(world, node=replace(HERE, labels={ZONE: draw.choice("ab")}))


def _random_service(draw: random.Random, name: str) -> str:
    spec = [
        draw.choice(["type: NodePort", "type: ClusterIP", "clusterIP: None"]),
        draw.choice(["ports: [{port: 80}]", "ports: [{port: 80}]", "ports: [{port: 81}]"]),
        draw.choice(["", "externalIPs: [192.0.2.9]"]),
        draw.choice(["", "internalTrafficPolicy: Local"]),
        draw.choice(["", "externalTrafficPolicy: Local"]),
        draw.choice(
            ["", "trafficDistribution: PreferSameNode", "trafficDistribution: PreferClose"]
        ),
        draw.choice(["", "selector: {app: a}", "selector: {app: b}"]),
    ]
    return service(name, ", ".join(item for item in spec if item))


def kept(new: World, old: World) -> World:
    """Objects that came out equal are the same objects, as a source hands them over."""

    def same(fresh: Any, known: Any) -> Any:
        merged = {
            key: known[key] if key in known and known[key] == item else item
            for key, item in fresh.items()
        }
        return known if merged == known else merged

    return replace(
        new,
        workloads=same(new.workloads, old.workloads),
        remote={name: same(group, old.remote.get(name, {})) for name, group in new.remote.items()},
        services=same(new.services, old.services),
        slices=same(new.slices, old.slices),
    )


@pytest.mark.parametrize("seed", range(40))
def test_what_is_remembered_never_changes_the_outcome(seed: int) -> None:
    draw = random.Random(seed)
    passes, world = Passes(), World()
    for _ in range(8):
        world = kept(random_world(draw), world)
        warm = passes.run(world)
        cold = fresh(world, passes)
        assert warm.parts == cold.parts
        assert warm.names == cold.names
        assert warm.addresses == cold.addresses
        assert set(warm.refusals) == set(cold.refusals)


# --- workloads' addresses ------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["clusterIP: 10.244.0.9", "externalIPs: [10.244.0.9]"])
def test_no_service_takes_the_address_of_a_workload(field: str) -> None:
    """Nor one that a workload may get later."""
    passes = Passes()
    bare = town(text=service("thief", f"{field}, ports: [{{port: 80}}]"))
    parts = passes.run(replace(bare, node=replace(bare.node, pod_cidrs=())))
    assert not parts.refusals
    node = replace(bare.node, pod_cidrs=(ip_network("10.244.0.0/24"),))
    parts = passes.run(replace(bare, node=node))
    [refusal] = parts.refusals
    assert "10.244.0.9 is in a range of workloads, 10.244.0.0/24" in refusal.reason
    assert all(item.address != ip_address("10.244.0.9") for item in parts.in_force())
