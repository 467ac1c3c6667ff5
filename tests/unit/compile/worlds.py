"""Random worlds and flows, small in their alphabet so that everything overlaps with everything.

One generator serves both kinds of test: `random_world(random.Random(seed))` is fast and
repeatable, `worlds` hands it to Hypothesis, which then chooses and shrinks the draws.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import TypeVar

from hypothesis import strategies as st

from tulle.model.kubernetes import (
    SERVICE_NAME_LABEL,
    ContainerPort,
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    Namespace,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
)
from tulle.model.proxy import RULES_ADDRESSES
from tulle.model.verdict import Flow
from tulle.model.world import IPAddress, Key, Node, Workload, World

from .alphabet import (
    ACCOUNTS,
    CLUSTER_IPS,
    EDGES,
    ELSEWHERE,
    EVERYWHERE,
    HOST,
    ICMP_NUMBERS,
    NAMESPACE_LABELS,
    NAMESPACES,
    NODE_LABELS,
    OTHER_NODES,
    OTHER_PODS,
    OTHER_RANGES,
    OTHERS,
    OUTSIDE,
    OWN_LABELS,
    POD_LABELS,
    POD_RANGE,
    PODS_V4,
    PODS_V6,
    PORT_NAMES,
    PROTOCOLS,
    PROXIES,
    UNKNOWN,
    labels,
    some,
)
from .random_policies import (
    GROUPS,
    cidr_group,
    cilium_policy,
    cluster_policy,
    clusterwide_policy,
    network_policy,
)

K = TypeVar("K")
V = TypeVar("V")

SRC_ENDS = "pod pod pod pod pod remote remote host node proxy unknown outside"
DST_ENDS_OF_PODS = "pod pod pod remote remote host node proxy unknown outside service"
DST_ENDS = "pod pod pod pod host host service any"


def random_world(rng: Random) -> World:
    """A world of up to ten workloads here and five elsewhere, under some policies of each kind."""
    workloads = _workloads(rng)
    others = some(rng, OTHERS, len(OTHERS))
    clusters = {"n2": rng.choice(("", ELSEWHERE))}
    world = World(
        node=_this_node(rng),
        nodes={name: _other_node(rng, name, clusters.get(name, "")) for name in others},
        namespaces=_namespaces(rng),
        foreign={ELSEWHERE: _namespaces(rng)},
        workloads={workload.key: workload for workload in workloads},
        remote={name: _remote(rng, name, clusters.get(name, "")) for name in others},
        services=_services(rng),
        slices=_slices(rng),
        cidr_groups={name: cidr_group(rng, name) for name in some(rng, GROUPS, 2)},
    )
    return _with_policies(rng, world, rng.choice((1, 2, 4)))


def mutated(rng: Random, world: World) -> World:
    """The same world after some change, as an apply between two moments would see it."""
    fresh = random_world(rng)
    return rng.choice(
        (
            policies_mutated(rng, world),
            policies_mutated(rng, world),
            replace(world, namespaces=fresh.namespaces, foreign=fresh.foreign),
            replace(world, workloads=fresh.workloads),
            replace(world, workloads=_relabelled(rng, world)),
            replace(world, node=fresh.node),
            replace(world, nodes=fresh.nodes, remote=fresh.remote),
            replace(world, services=fresh.services, slices=fresh.slices),
        )
    )


def policies_mutated(rng: Random, world: World) -> World:
    """The same world with some policies added, dropped or rewritten, and nothing else."""

    def thinned(items: Mapping[K, V]) -> dict[K, V]:
        return {key: value for key, value in items.items() if rng.random() < 0.8}

    fewer = replace(
        world,
        policies=thinned(world.policies),
        cilium_policies=thinned(world.cilium_policies),
        clusterwide_policies=thinned(world.clusterwide_policies),
        cluster_policies=thinned(world.cluster_policies),
        cidr_groups=thinned(world.cidr_groups),
    )
    return _with_policies(rng, fewer, 1)


def random_flow(rng: Random, world: World) -> Flow:
    """A flow that policies are likely to be about; never from a workload or node to itself."""
    family = rng.choice((4, 6))
    src = _end(rng, world, family, SRC_ENDS, set())
    owner = next((w.addresses for w in world.workloads.values() if src in w.addresses), ())
    node = (*world.node.addresses, *world.node.ingress)
    itself = node if src in node else owner
    likely = DST_ENDS_OF_PODS if owner else DST_ENDS
    dst = _end(rng, world, family, likely, {src, *itself})
    if rng.random() < 0.12:
        return Flow(src, dst, "ICMP" if family == 4 else "ICMPv6", rng.choice(ICMP_NUMBERS[family]))
    return Flow(src, dst, rng.choice(PROTOCOLS), _destination_port(rng, world))


randoms = st.randoms(use_true_random=False)
worlds = randoms.map(random_world)


def _with_policies(rng: Random, world: World, most: int) -> World:
    """With some more policies of each kind, or others under the same names."""

    def added(make: Callable[[Random, int], tuple[K, V]]) -> dict[K, V]:
        return dict(make(rng, rng.randint(0, 2 * most)) for _ in range(rng.randint(0, most)))

    return replace(
        world,
        policies={**world.policies, **added(network_policy)},
        cilium_policies={**world.cilium_policies, **added(cilium_policy)},
        clusterwide_policies={**world.clusterwide_policies, **added(clusterwide_policy)},
        cluster_policies={**world.cluster_policies, **added(cluster_policy)},
    )


def _this_node(rng: Random) -> Node:
    return Node(
        addresses=tuple(some(rng, HOST, len(HOST))),
        labels=labels(rng, NODE_LABELS),
        pod_cidrs=POD_RANGE,
        ingress=PROXIES[""],
    )


def _other_node(rng: Random, name: str, cluster: str) -> Node:
    addresses = OTHER_NODES[name]
    return Node(
        name,
        addresses,
        labels=labels(rng, NODE_LABELS),
        pod_cidrs=OTHER_RANGES[name],
        underlay=rng.choice((addresses[0], None)),
        ingress=PROXIES[name],
        cluster=cluster,
    )


def _namespaces(rng: Random) -> dict[str, Namespace]:
    return {name: _namespace(rng, name) for name in NAMESPACES if rng.random() < 0.8}


def _namespace(rng: Random, name: str) -> Namespace:
    return Namespace(ObjectMeta(name, labels=labels(rng, NAMESPACE_LABELS)))


def _workloads(rng: Random) -> list[Workload]:
    pool = list(zip(PODS_V4, PODS_V6, strict=True))
    rng.shuffle(pool)
    return [
        Workload(
            namespace=rng.choice(NAMESPACES),
            name=f"w{number}",
            labels=labels(rng, OWN_LABELS),
            addresses=rng.choice((addresses, addresses, addresses[:1], addresses[1:])),
            ifindex=100 + number,
            ports=_container_ports(rng),
            weight=rng.randint(0, 2),
            ready=rng.random() < 0.8,
            service_account=rng.choice(ACCOUNTS),
        )
        for number, addresses in enumerate(
            pool[: rng.choice((0, 2, 3, 3, 4, 4, 5, 5, 6, 8, 10, 10))]
        )
    ]


def _remote(rng: Random, node: str, cluster: str) -> dict[Key, Workload]:
    found = [
        Workload(
            namespace=rng.choice(NAMESPACES),
            name=f"{node}-{number}",
            labels=labels(rng, OWN_LABELS),
            addresses=rng.choice((addresses, addresses[:1], addresses[1:])),
            ifindex=0,
            ports=_container_ports(rng),
            service_account=rng.choice(ACCOUNTS),
            node=node,
            cluster=cluster,
        )
        for number, addresses in enumerate(some(rng, OTHER_PODS[node], 3))
    ]
    return {workload.key: workload for workload in found}


def _relabelled(rng: Random, world: World) -> dict[Key, Workload]:
    return {
        key: replace(workload, labels=labels(rng, OWN_LABELS)) if rng.random() < 0.3 else workload
        for key, workload in world.workloads.items()
    }


def _container_ports(rng: Random) -> tuple[ContainerPort, ...]:
    return tuple(
        ContainerPort(rng.choice(EDGES), name, rng.choice(PROTOCOLS))
        for name in some(rng, (*PORT_NAMES, *PORT_NAMES), 3)
    )


def _services(rng: Random) -> dict[Key, Service]:
    services = {}
    for address in some(rng, CLUSTER_IPS, len(CLUSTER_IPS)):
        meta = ObjectMeta(f"s{address.version}-{int(address) & 3}", rng.choice(NAMESPACES))
        spec = ServiceSpec(
            ports=(ServicePort(80, "http", "TCP", rng.choice((8080, "http", None))),),
            selector=labels(rng, POD_LABELS),
            cluster_ip=str(address),
            cluster_ips=(str(address),),
        )
        services[meta.namespace, meta.name] = Service(meta, spec)
    return services


def _slices(rng: Random) -> dict[Key, EndpointSlice]:
    slices = {}
    for index in range(rng.randint(0, 2)):
        service = rng.choice(("s4-1", "s4-2"))
        meta = ObjectMeta(f"e{index}", rng.choice(NAMESPACES), {SERVICE_NAME_LABEL: service})
        endpoints = tuple(
            Endpoint((str(address),), EndpointConditions(rng.choice((None, True, False))))
            for address in some(rng, (*PODS_V4, *OUTSIDE[1:6]), 3)
        )
        ports = (EndpointPort(rng.choice(EDGES), "http"),)
        slices[meta.namespace, meta.name] = EndpointSlice(meta, "IPv4", endpoints, ports)
    return slices


def _destination_port(rng: Random, world: World) -> int:
    """A port that some object may name, its neighbour, or any."""
    named = [port.container_port for w in world.workloads.values() for port in w.ports]
    likely = rng.choice((rng.choice(named or EDGES), rng.choice(EDGES)))
    pick = rng.choice((likely, likely, likely - 1, likely + 1, rng.randint(1, 65535)))
    return min(max(pick, 1), 65535)


def _end(
    rng: Random, world: World, family: int, likely: str, excluded: Collection[IPAddress]
) -> IPAddress:
    """One end of a flow, of one of the likely kinds if the world has such."""
    pools: dict[str, Sequence[IPAddress]] = {
        "pod": [address for w in world.workloads.values() for address in w.addresses],
        "remote": [
            a for items in world.remote.values() for w in items.values() for a in w.addresses
        ],
        "host": world.node.addresses,
        "node": [address for node in world.nodes.values() for address in node.addresses],
        "unknown": UNKNOWN,
        "proxy": [a for node in (world.node, *world.nodes.values()) for a in node.ingress],
        "service": (*CLUSTER_IPS, *RULES_ADDRESSES),
        "outside": OUTSIDE,
        "any": EVERYWHERE,
    }
    pool = pools[rng.choice(likely.split())]
    fitting = [a for a in pool if a.version == family and a not in excluded]
    return rng.choice(fitting or [a for a in OUTSIDE if a.version == family and a not in excluded])
