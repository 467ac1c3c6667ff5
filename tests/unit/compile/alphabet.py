"""What random worlds are made of: few names, labels and addresses, so that everything overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from random import Random
from typing import TypeVar

from tulle.model.cilium import CLUSTER_KEY
from tulle.model.kubernetes import (
    AUDIT_ANNOTATION,
    REJECT_ANNOTATION,
    LabelSelector,
    LabelSelectorRequirement,
    Protocol,
)

T = TypeVar("T")
Alphabet = dict[str, tuple[str, ...]]

NAMESPACES = ("ant", "bee", "cat")
ACCOUNTS = ("default", "robot")
NAMESPACE_LABELS: Alphabet = {"team": ("red", "blue"), "env": ("prod", "dev")}
POD_LABELS: Alphabet = {
    "app": ("web", "api", "db"),
    "tier": ("front", "back"),
    "zone": ("", "north"),
}
# A pod's own label may have a name that is Cilium's; Kubernetes' selectors ask for that one.
# Of the cluster they are asked for what Cilium means: it is no label of the pod's own.
CLUSTERS = ("default", "elsewhere")
OWN_LABELS: Alphabet = {
    **POD_LABELS,
    "io.kubernetes.pod.namespace": NAMESPACES,
    CLUSTER_KEY: CLUSTERS,
}
NODE_LABELS: Alphabet = {"role": ("edge", "core"), "zone": ("", "north"), CLUSTER_KEY: CLUSTERS}
PORT_NAMES = ("http", "dns", "pg")
PROTOCOLS: tuple[Protocol, ...] = ("TCP", "TCP", "TCP", "TCP", "UDP", "SCTP")
# Ends of aligned blocks and their neighbours: where a range cut into prefixes goes wrong.
EDGES = (
    *(1, 2, 53, 79, 80, 81, 127, 128, 255, 256, 443, 1023, 1024, 3307),
    *(5432, 8080, 12345, 32768, 40001, 65534, 65535),
)
ICMP_NUMBERS = {4: (0, 8, 13, 42), 6: (1, 128, 129, 133)}
ICMP_NAMES = {4: ("EchoReply", "EchoRequest"), 6: ("EchoReply", "EchoRequest")}

PODS_V4 = tuple(ip_address(f"10.0.0.{n}") for n in range(1, 17))
PODS_V6 = tuple(ip_address(f"fd00::{n:x}") for n in range(1, 17))
POD_RANGE = (ip_network("10.0.0.0/27"), ip_network("fd00::/123"))
HOST = (ip_address("10.0.0.30"), ip_address("fd00::1e"), ip_address("192.0.2.30"))
OTHERS = ("n1", "n2")
ELSEWHERE = "elsewhere"  # another cluster, of which n2 may be
OTHER_NODES = {
    "n1": (ip_address("192.0.2.31"), ip_address("fd00:0:0:1::e"), ip_address("10.0.1.14")),
    "n2": (ip_address("192.0.2.32"), ip_address("2001:db8::32")),
}
OTHER_RANGES = {
    "n1": (ip_network("10.0.1.0/28"), ip_network("fd00:0:0:1::/124")),
    "n2": (ip_network("10.0.1.16/28"), ip_network("fd00:0:0:1::10/124")),
}
# Fewer workloads than addresses: the rest is in a pod range, and unknown.
OTHER_PODS = {
    "n1": tuple((ip_address(f"10.0.1.{n}"), ip_address(f"fd00:0:0:1::{n:x}")) for n in (1, 2, 3)),
    "n2": tuple((ip_address(f"10.0.1.{n}"), ip_address(f"fd00:0:0:1::{n:x}")) for n in (17, 18)),
}
PROXIES = {
    "": (ip_address("10.0.0.29"), ip_address("fd00::1d")),
    "n1": (ip_address("10.0.1.13"), ip_address("fd00:0:0:1::d")),
    "n2": (ip_address("10.0.1.28"), ip_address("fd00:0:0:1::1c")),
}
UNKNOWN = tuple(map(ip_address, ("10.0.1.9", "10.0.1.29", "fd00:0:0:1::9", "fd00:0:0:1::1d")))
CLUSTER_IPS = tuple(map(ip_address, ("10.96.0.1", "10.96.0.2", "fd00:7a11:0:96::1")))
OUTSIDE = tuple(
    map(
        ip_address,
        (
            *("0.0.0.1", "10.0.0.20", "10.0.2.1", "10.96.0.9", "128.0.0.1", "192.0.2.7"),
            *("192.0.2.200", "255.255.255.254", "::2", "64:ff9b::a00:1", "2001:db8::7"),
            *("fd00::14", "fd00:0:0:2::1"),
        ),
    )
)
REMOTE = tuple(address for pairs in OTHER_PODS.values() for pair in pairs for address in pair)
NODES = HOST + tuple(address for addresses in OTHER_NODES.values() for address in addresses)
EVERYWHERE = PODS_V4 + PODS_V6 + REMOTE + UNKNOWN + NODES + OUTSIDE + CLUSTER_IPS
# Blocks also start where the kernel keeps IPv4 among IPv6 addresses; packets never come from there.
BASES = (*EVERYWHERE, ip_address("::ffff:10.0.0.1"))
PREFIXES = {
    4: (0, 1, 8, 23, 24, 27, 28, 29, 30, 31, 32),
    6: (0, 1, 16, 64, 80, 96, 123, 125, 127, 128),
}


def some(rng: Random, items: Sequence[T], most: int) -> list[T]:
    return rng.sample(items, rng.randint(0, min(most, len(items))))


def labels(rng: Random, alphabet: Alphabet) -> dict[str, str]:
    return {key: rng.choice(values) for key, values in alphabet.items() if rng.random() < 0.7}


def annotations(rng: Random) -> dict[str, str]:
    """Now and then a policy reports only, or tells the sender of its denials."""
    names = (AUDIT_ANNOTATION, REJECT_ANNOTATION)
    return {name: rng.choice(("true", "true", "false")) for name in names if rng.random() < 0.2}


def selector(rng: Random, alphabet: Alphabet) -> LabelSelector:
    chosen = {}
    if rng.random() < 0.5:
        key = rng.choice(tuple(alphabet))
        chosen[key] = rng.choice(alphabet[key])
    expressions = tuple(_requirement(rng, alphabet) for _ in range(rng.choice((0, 0, 1, 1, 2))))
    return LabelSelector(chosen, expressions)


def block(rng: Random) -> tuple[str, tuple[str, ...]]:
    """A CIDR, and CIDRs to cut out of it."""
    base = rng.choice(BASES)
    lengths = PREFIXES[base.version]
    network = ip_network((base, rng.choice(lengths)), strict=False)
    inside = [address for address in BASES if address in network]
    holes = tuple(
        str(ip_network((rng.choice(inside), rng.choice(longer)), strict=False))
        for _ in range(rng.choice((0, 0, 1, 2)))
        if (longer := [length for length in lengths if length >= network.prefixlen])
    )
    return str(network), holes


def port_range(rng: Random) -> tuple[int, int]:
    low, high = sorted((rng.choice(EDGES), rng.choice(EDGES)))
    return low, high


def _requirement(rng: Random, alphabet: Alphabet) -> LabelSelectorRequirement:
    key = rng.choice((*alphabet, "absent"))
    match rng.choice(("In", "NotIn", "Exists", "DoesNotExist")):
        case "In" | "NotIn" as operator:
            values = tuple(some(rng, alphabet.get(key, ("x",)), 2)) or ("x",)
            return LabelSelectorRequirement(key, operator, values)
        case operator:
            return LabelSelectorRequirement(key, operator)
