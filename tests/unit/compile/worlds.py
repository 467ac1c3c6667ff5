"""Random worlds and flows, small in their alphabet so that everything overlaps with everything.

One generator serves both kinds of test: `random_world(random.Random(seed))` is fast and
repeatable, `worlds` hands it to Hypothesis, which then chooses and shrinks the draws.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from random import Random
from typing import TypeVar

from hypothesis import strategies as st

from tulle.model.kubernetes import (
    ContainerPort,
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    IPBlock,
    LabelSelector,
    LabelSelectorRequirement,
    Namespace,
    NetworkPolicy,
    NetworkPolicyEgressRule,
    NetworkPolicyIngressRule,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    NetworkPolicySpec,
    ObjectMeta,
    Protocol,
    Service,
    ServicePort,
    ServiceSpec,
)
from tulle.model.verdict import Flow
from tulle.model.world import IPAddress, Key, Node, Workload, World

T = TypeVar("T")
Alphabet = dict[str, tuple[str, ...]]

NAMESPACES = ("ant", "bee", "cat")
NAMESPACE_LABELS: Alphabet = {"team": ("red", "blue"), "env": ("prod", "dev")}
POD_LABELS: Alphabet = {
    "app": ("web", "api", "db"),
    "tier": ("front", "back"),
    "zone": ("", "north"),
}
PORT_NAMES = ("http", "dns", "pg")
PROTOCOLS: tuple[Protocol, ...] = ("TCP", "TCP", "TCP", "TCP", "UDP", "SCTP")
# Ends of aligned blocks and their neighbours: where a range cut into prefixes goes wrong.
EDGES = (1, 2, 53, 79, 80, 81, 127, 128, 255, 256, 443, 1023, 1024, 5432, 8080, 32768, 65534, 65535)
PODS_V4 = tuple(ip_address(f"10.0.0.{n}") for n in range(1, 17))
PODS_V6 = tuple(ip_address(f"fd00::{n:x}") for n in range(1, 17))
NODES = (ip_address("10.0.0.30"), ip_address("fd00::1e"), ip_address("192.0.2.30"))
CLUSTER_IPS = tuple(map(ip_address, ("10.96.0.1", "10.96.0.2", "fd00:7a11:0:96::1")))
OUTSIDE = tuple(
    map(
        ip_address,
        (
            "0.0.0.1",
            "10.0.0.20",
            "10.0.1.1",
            "10.96.0.9",
            "128.0.0.1",
            "192.0.2.7",
            "192.0.2.200",
            "255.255.255.254",
            "::2",
            "64:ff9b::a00:1",
            "2001:db8::7",
            "fd00::14",
            "fd00:0:0:1::1",
        ),
    )
)
EVERYWHERE = PODS_V4 + PODS_V6 + NODES + OUTSIDE + CLUSTER_IPS
# Blocks also start where the kernel keeps IPv4 among IPv6 addresses; packets never come from there.
BASES = (*EVERYWHERE, ip_address("::ffff:10.0.0.1"))
PREFIXES = {
    4: (0, 1, 8, 23, 24, 27, 28, 29, 30, 31, 32),
    6: (0, 1, 16, 64, 80, 96, 123, 125, 127, 128),
}


def random_world(rng: Random) -> World:
    """A world of up to ten workloads under up to eight policies."""
    workloads = _workloads(rng)
    return World(
        node=Node(addresses=tuple(_some(rng, NODES, len(NODES)))),
        namespaces={n: _namespace(rng, n) for n in NAMESPACES if rng.random() < 0.8},
        workloads={workload.key: workload for workload in workloads},
        services=_services(rng),
        slices=_slices(rng),
        policies=dict(_policy(rng, index) for index in range(rng.randint(0, 8))),
    )


def mutated(rng: Random, world: World) -> World:
    """The same world after some change, as an apply between two moments would see it."""
    fresh = random_world(rng)
    return rng.choice(
        (
            policies_mutated(rng, world),
            policies_mutated(rng, world),
            replace(world, namespaces=fresh.namespaces),
            replace(world, workloads=fresh.workloads),
            replace(world, workloads=_relabelled(rng, world)),
            replace(world, node=fresh.node),
            replace(world, services=fresh.services, slices=fresh.slices),
        )
    )


def policies_mutated(rng: Random, world: World) -> World:
    """The same world with some policies added, dropped or rewritten, and nothing else."""
    policies = {key: value for key, value in world.policies.items() if rng.random() < 0.8}
    policies.update(_policy(rng, rng.randint(0, 8)) for _ in range(rng.randint(0, 3)))
    return replace(world, policies=policies)


def random_flow(rng: Random, world: World) -> Flow:
    """A flow that policies are likely to be about; never from a workload to itself."""
    family = rng.choice((4, 6))
    src = _end(rng, world, family, "pod pod pod pod pod pod pod node outside", set())
    owner = next((w for w in world.workloads.values() if src in w.addresses), None)
    likely = "pod pod pod pod pod node outside service" if owner else "pod pod pod pod service any"
    dst = _end(rng, world, family, likely, {src, *(owner.addresses if owner else ())})
    if rng.random() < 0.12:
        return Flow(src, dst, "ICMP" if family == 4 else "ICMPv6")
    return Flow(src, dst, rng.choice(PROTOCOLS), _destination_port(rng, world))


randoms = st.randoms(use_true_random=False)
worlds = randoms.map(random_world)


def _some(rng: Random, items: Sequence[T], most: int) -> list[T]:
    return rng.sample(items, rng.randint(0, min(most, len(items))))


def _labels(rng: Random, alphabet: Alphabet) -> dict[str, str]:
    return {key: rng.choice(values) for key, values in alphabet.items() if rng.random() < 0.7}


def _namespace(rng: Random, name: str) -> Namespace:
    return Namespace(ObjectMeta(name, labels=_labels(rng, NAMESPACE_LABELS)))


def _workloads(rng: Random) -> list[Workload]:
    pool = list(zip(PODS_V4, PODS_V6, strict=True))
    rng.shuffle(pool)
    return [
        Workload(
            namespace=rng.choice(NAMESPACES),
            name=f"w{number}",
            labels=_labels(rng, POD_LABELS),
            addresses=rng.choice((addresses, addresses, addresses[:1], addresses[1:])),
            ifindex=100 + number,
            ports=_container_ports(rng),
            weight=rng.randint(0, 2),
            ready=rng.random() < 0.8,
        )
        for number, addresses in enumerate(
            pool[: rng.choice((0, 2, 3, 3, 4, 4, 5, 5, 6, 8, 10, 10))]
        )
    ]


def _relabelled(rng: Random, world: World) -> dict[Key, Workload]:
    return {
        key: replace(workload, labels=_labels(rng, POD_LABELS)) if rng.random() < 0.3 else workload
        for key, workload in world.workloads.items()
    }


def _container_ports(rng: Random) -> tuple[ContainerPort, ...]:
    return tuple(
        ContainerPort(rng.choice(EDGES), name, rng.choice(PROTOCOLS))
        for name in _some(rng, (*PORT_NAMES, *PORT_NAMES), 3)
    )


def _services(rng: Random) -> dict[Key, Service]:
    services = {}
    for address in _some(rng, CLUSTER_IPS, len(CLUSTER_IPS)):
        meta = ObjectMeta(f"s{address.version}-{int(address) & 3}", rng.choice(NAMESPACES))
        spec = ServiceSpec(
            ports=(ServicePort(80, "http", "TCP", rng.choice((8080, "http", None))),),
            selector=_labels(rng, POD_LABELS),
            cluster_ip=str(address),
            cluster_ips=(str(address),),
        )
        services[meta.namespace, meta.name] = Service(meta, spec)
    return services


def _slices(rng: Random) -> dict[Key, EndpointSlice]:
    slices = {}
    for index in range(rng.randint(0, 2)):
        service = rng.choice(("s4-1", "s4-2"))
        meta = ObjectMeta(
            f"e{index}", rng.choice(NAMESPACES), {"kubernetes.io/service-name": service}
        )
        endpoints = tuple(
            Endpoint((str(address),), EndpointConditions(rng.choice((None, True, False))))
            for address in _some(rng, PODS_V4, 3)
        )
        ports = (EndpointPort(rng.choice(EDGES), "http"),)
        slices[meta.namespace, meta.name] = EndpointSlice(meta, "IPv4", endpoints, ports)
    return slices


def _policy(rng: Random, index: int) -> tuple[Key, NetworkPolicy]:
    namespace, name = NAMESPACES[index % len(NAMESPACES)], f"p{index}"
    ingress = tuple(
        NetworkPolicyIngressRule(_peers(rng), _ports(rng)) for _ in range(rng.randint(0, 3))
    )
    egress = tuple(
        NetworkPolicyEgressRule(_peers(rng), _ports(rng)) for _ in range(rng.randint(0, 3))
    )
    spec = NetworkPolicySpec(
        pod_selector=rng.choice((LabelSelector(), _selector(rng, POD_LABELS))),
        ingress=ingress,
        egress=egress,
        policy_types=rng.choice((None, (), ("Ingress",), ("Egress",), ("Ingress", "Egress"))),
    )
    return (namespace, name), NetworkPolicy(ObjectMeta(name, namespace), spec)


def _selector(rng: Random, alphabet: Alphabet) -> LabelSelector:
    labels = {}
    if rng.random() < 0.5:
        key = rng.choice(tuple(alphabet))
        labels[key] = rng.choice(alphabet[key])
    expressions = tuple(_requirement(rng, alphabet) for _ in range(rng.choice((0, 0, 1, 1, 2))))
    return LabelSelector(labels, expressions)


def _requirement(rng: Random, alphabet: Alphabet) -> LabelSelectorRequirement:
    key = rng.choice((*alphabet, "absent"))
    match rng.choice(("In", "NotIn", "Exists", "DoesNotExist")):
        case "In" | "NotIn" as operator:
            values = tuple(_some(rng, alphabet.get(key, ("x",)), 2)) or ("x",)
            return LabelSelectorRequirement(key, operator, values)
        case operator:
            return LabelSelectorRequirement(key, operator)


def _peers(rng: Random) -> tuple[NetworkPolicyPeer, ...]:
    return tuple(_peer(rng) for _ in range(rng.choice((0, 1, 2, 3))))


def _peer(rng: Random) -> NetworkPolicyPeer:
    names = {**NAMESPACE_LABELS, "kubernetes.io/metadata.name": NAMESPACES}
    pods = rng.choice((LabelSelector(), _selector(rng, POD_LABELS), _selector(rng, POD_LABELS)))
    match rng.choice(("block", "block", "pods", "namespaces", "both")):
        case "block":
            return NetworkPolicyPeer(ip_block=_block(rng))
        case "pods":
            return NetworkPolicyPeer(pods)
        case "namespaces":
            return NetworkPolicyPeer(None, _selector(rng, names))
        case _:
            return NetworkPolicyPeer(pods, _selector(rng, names))


def _block(rng: Random) -> IPBlock:
    base = rng.choice(BASES)
    lengths = PREFIXES[base.version]
    network = ip_network((base, rng.choice(lengths)), strict=False)
    inside = [address for address in BASES if address in network]
    holes = tuple(
        str(ip_network((rng.choice(inside), rng.choice(longer)), strict=False))
        for _ in range(rng.choice((0, 0, 1, 2)))
        if (longer := [length for length in lengths if length >= network.prefixlen])
    )
    return IPBlock(str(network), holes)


def _ports(rng: Random) -> tuple[NetworkPolicyPort, ...]:
    return tuple(_port(rng) for _ in range(rng.choice((0, 0, 1, 2, 3))))


def _port(rng: Random) -> NetworkPolicyPort:
    protocol = rng.choice(PROTOCOLS)
    match rng.choice(("all", "number", "name", "range")):
        case "all":
            return NetworkPolicyPort(protocol)
        case "number":
            return NetworkPolicyPort(protocol, rng.choice(EDGES))
        case "name":
            return NetworkPolicyPort(protocol, rng.choice(PORT_NAMES))
        case _:
            low, high = sorted((rng.choice(EDGES), rng.choice((*EDGES, rng.randint(1, 65535)))))
            return NetworkPolicyPort(protocol, low, high)


def _destination_port(rng: Random, world: World) -> int:
    """A port that some object names, its neighbour, or any."""
    named = [port.container_port for w in world.workloads.values() for port in w.ports]
    for policy in world.policies.values():
        rules = (policy.spec.ingress, policy.spec.egress)
        for port in (port for side in rules for rule in side for port in rule.ports):
            if isinstance(port.port, int):
                end = port.end_port or port.port
                named += (port.port - 1, port.port, port.port, end, end + 1)
    pick = rng.choice((rng.choice(named or EDGES), rng.choice(EDGES), rng.randint(1, 65535)))
    return min(max(pick, 1), 65535)


def _end(
    rng: Random, world: World, family: int, likely: str, excluded: Collection[IPAddress]
) -> IPAddress:
    """One end of a flow, of one of the likely kinds if the world has such."""
    pools: dict[str, Sequence[IPAddress]] = {
        "pod": [address for w in world.workloads.values() for address in w.addresses],
        "node": world.node.addresses,
        "service": CLUSTER_IPS,
        "outside": OUTSIDE,
        "any": EVERYWHERE,
    }
    pool = pools[rng.choice(likely.split())]
    fitting = [a for a in pool if a.version == family and a not in excluded]
    return rng.choice(fitting or [a for a in OUTSIDE if a.version == family and a not in excluded])
