"""The one form that every kind of policy is translated to before it is compiled.

How it is judged, for a subject in a direction, a peer, a protocol and a port:

1. the node of a workload always reaches it, and it the node (FROM_NODE);
2. tier ADMIN: policies by (priority, name), their rules in order; the first that matches allows,
   denies, or passes on to 3;
3. tier NAMESPACE: a DENY rule that matches denies (the first by policy, then position); else an
   ALLOW rule that matches allows, first those that allow every request; where only rules with
   `layer7` match, each request must meet a part of one of them; else, if a policy isolates, the
   first that does denies by default;
4. tier BASELINE: like ADMIN, but its PASS means that the rest does not match either;
5. else allowed (NOT_ISOLATED).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum

from tulle.model.cilium import CLUSTER_KEY
from tulle.model.cilium import NAMESPACE_KEY as NAMESPACE_KEY
from tulle.model.kubernetes import LabelSelector, ObjectRef
from tulle.model.verdict import Rule
from tulle.model.world import IPNetwork

WITH_PORTS = ("TCP", "UDP", "SCTP")  # what a port of no protocol is a port of

NAMESPACE_LABELS = "io.cilium.k8s.namespace.labels."  # prefix of a namespace's own labels
SERVICE_ACCOUNT_KEY = "io.cilium.k8s.policy.serviceaccount"
_TAKEN = (NAMESPACE_KEY, SERVICE_ACCOUNT_KEY, CLUSTER_KEY)
_OWN = "own:"  # prefix of a workload's own labels under names that are Cilium's


def seen_labels(
    labels: Mapping[str, str],
    namespace: str,
    namespace_labels: Mapping[str, str],
    service_account: str,
    cluster: str,
) -> dict[str, str]:
    """All that a selector can look at, in one mapping, as Cilium's identities have it.

    A workload's own labels can't take the names that speak of its namespace, account or cluster.
    """
    return {
        **{own_label(key): value for key, value in labels.items()},
        **{NAMESPACE_LABELS + key: value for key, value in namespace_labels.items()},
        NAMESPACE_KEY: namespace,
        SERVICE_ACCOUNT_KEY: service_account,
        CLUSTER_KEY: cluster,
    }


def own_label(key: str) -> str:
    """Where `seen_labels` has a workload's own label: Kubernetes' selectors ask for those only."""
    is_taken = key in _TAKEN or key.startswith(NAMESPACE_LABELS)
    return _OWN + key if is_taken else key


def names_cluster(keys: Iterable[str]) -> bool:
    """Whether a selector with these keys is about all clusters; else it is about its own alone."""
    return CLUSTER_KEY in keys


class Tier(IntEnum):
    ADMIN = 0
    NAMESPACE = 1
    BASELINE = 2


class Action(Enum):
    ALLOW = "allow"
    DENY = "deny"
    PASS = "pass"  # noqa: S105


class Entity(Enum):
    """Peers without labels, in Cilium's words."""

    ALL = "all"
    WORLD = "world"  # everything that is no workload, node or host; blocks do not matter
    WORLD_IPV4 = "world-ipv4"
    WORLD_IPV6 = "world-ipv6"
    CLUSTER = "cluster"  # every workload, node and proxy, this host, and what is unmanaged
    HOST = "host"
    REMOTE_NODE = "remote-node"
    UNMANAGED = "unmanaged"
    INGRESS = "ingress"  # nodes' proxies, for clients from outside


@dataclass(frozen=True, slots=True)
class Pods:
    """Workloads whose `seen_labels` match; an empty selector means all workloads everywhere."""

    selector: LabelSelector


@dataclass(frozen=True, slots=True)
class Nodes:
    """Nodes whose labels match: this one and the others."""

    selector: LabelSelector


@dataclass(frozen=True, slots=True)
class Cidr:
    """Addresses in `cidr` and in none of `excluded`.

    `managed`: workloads and nodes too, by their addresses (an ipBlock); else only what is outside
    (Cilium's toCIDR).
    """

    cidr: IPNetwork
    excluded: tuple[IPNetwork, ...] = ()
    managed: bool = True


@dataclass(frozen=True, slots=True)
class Fqdn:
    """What is outside of the mesh and has such a name, as the subject has learnt from DNS."""

    pattern: str  # as model.dns has it; a name is one without `*`


PeerTerm = Pods | Nodes | Cidr | Entity | Fqdn


@dataclass(frozen=True, slots=True)
class PortTerm:
    """Ports `port`..`end_port` of a protocol; a name means the port that the destination calls so.

    `protocol` "" is any; `port` None is every port. Of ICMP and ICMPv6 `port` is the type.
    """

    protocol: str = ""
    port: int | str | None = None
    end_port: int | None = None


@dataclass(frozen=True, slots=True)
class HeaderTest:
    """`value` None is any value. On a mismatch the request is not met, or what `mismatch` says:

    it passes, and the header is noted (LOG), gets `value` added, is deleted, or is replaced.
    """

    name: str
    value: str | None = None
    mismatch: str = ""


@dataclass(frozen=True, slots=True)
class HttpRule:
    """Met by requests that meet all parts: regular expressions (RE2) of the whole text, "" any."""

    place: str  # within its rule, such as toPorts[0].rules.http[2]
    method: str = ""
    path: str = ""  # with the query
    host: str = ""
    headers: tuple[HeaderTest, ...] = ()


@dataclass(frozen=True, slots=True)
class Layer7:
    """What a rule allows of connections: requests that one of `http` meets, TLS to one of the
    names (`*.` is one label more, `**.` any number of them). Neither allows nothing. `dns` is not
    None where it is questions for names, which the kernel judges: `model.dns` has their patterns.
    """

    place: str  # within its rule, such as toPorts[0]
    http: tuple[HttpRule, ...] = ()
    server_names: tuple[str, ...] = ()
    dns: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """`peers` and `ports` are alternatives; None is everybody and everything, () nobody.

    `layer7` is of ALLOW rules in tier NAMESPACE only; None allows every request.
    """

    rule: Rule
    action: Action
    peers: tuple[PeerTerm, ...] | None = None
    ports: tuple[PortTerm, ...] | None = None
    layer7: Layer7 | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """One direction of one policy object (one of its `specs` where it has several)."""

    ref: ObjectRef
    direction: str  # "ingress" or "egress"
    subject: Pods | Nodes  # Nodes: the host firewall of the nodes that match
    rules: tuple[PolicyRule, ...] = ()
    tier: Tier = Tier.NAMESPACE
    priority: int = 0
    isolates: bool = True  # has a default deny; tier NAMESPACE only
    audit: bool = False  # never decides; what it would deny is reported beside the verdict
    reject: bool = False  # its denials are answered with a TCP RST or an ICMP error
    spec: int | None = None  # which of the object's `specs`, for the name of its default deny
