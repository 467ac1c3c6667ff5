"""Who may do what: no more than what is watched and written, and derived from that.

Agents read; only the operator writes, and of objects that are not its own nothing but statuses.
Every identity may discover what a server has, which API servers grant by themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from tulle.agent.kube.cluster import READ
from tulle.agent.kube.events import EVENTS
from tulle.agent.kube.kinds import ALL, BY_NAME, CRDS, ELSEWHERE, OWN, WATCHED, Watched

from .marks import NAMESPACE, Each, Item, Node, Param, Unless, When
from .metadata import AGENT, OPERATOR, PEER, metadata

LEASE = "tulle"
_RBAC = "rbac.authorization.k8s.io"
_FOLLOW = ("list", "watch")
_ASK = ("get", *_FOLLOW)
_SECRETS = Param("secretNamespaces")
_CLUSTER_NAME = Param("clusterName")  # others are joined by Secrets in our own namespace
READER, _CONFIDANT, _PEERS = "tulle-reader", "tulle-confidant", "tulle-peers"
# What the operator says something about: each has a status of its own in the API.
STATUSES = (
    "AuthPolicy",
    "BackendTLSPolicy",
    "BackendTrafficPolicy",
    "CiliumClusterwideNetworkPolicy",
    "CiliumNetworkPolicy",
    "ClusterNetworkPolicy",
    "FaultInjectionPolicy",
    "GRPCRoute",
    "Gateway",
    "GatewayClass",
    "HTTPRoute",
    "Ingress",
    "ListenerSet",
    "MeshNode",
    "RateLimitPolicy",
    "Service",
    "ServiceExport",
    "ServiceImport",
    "TCPRoute",
    "TLSRoute",
    "UDPRoute",
    "XBackendTrafficPolicy",
)


def plural(kind: str) -> str:
    """As it stands in the API's paths.

    >>> plural("Gateway"), plural("IngressClass"), plural("BackendTLSPolicy")
    ('gateways', 'ingressclasses', 'backendtlspolicies')
    """
    name = kind.lower()
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    return name + ("es" if name.endswith("s") else "s")


def roles() -> Iterable[Node]:
    """Cluster-wide ones, the operator's in its own namespace, and those on Secrets."""
    yield _role("ClusterRole", READER, None, reading())
    yield _role("ClusterRole", OPERATOR, None, writing())
    yield _role("Role", OPERATOR, NAMESPACE, electing())
    yield When(_CLUSTER_NAME, _role("Role", _PEERS, NAMESPACE, [_rule("", ("secrets",), _FOLLOW)]))
    yield When(_CLUSTER_NAME, _role("ClusterRole", PEER, None, sharing()))
    everywhere = _role("ClusterRole", _CONFIDANT, None, confiding())
    somewhere = _role("Role", _CONFIDANT, Item(), confiding())
    yield When(Unless(_SECRETS), everywhere)
    yield Each(_SECRETS.path, somewhere)


def bindings() -> Iterable[Node]:
    both = (AGENT, OPERATOR)
    yield _binding("ClusterRole", READER, None, both)
    yield _binding("ClusterRole", OPERATOR, None, (OPERATOR,))
    yield _binding("Role", OPERATOR, NAMESPACE, (OPERATOR,))
    yield When(_CLUSTER_NAME, _binding("Role", _PEERS, NAMESPACE, both))
    yield When(_CLUSTER_NAME, _binding("ClusterRole", PEER, None, (PEER,)))
    yield When(Unless(_SECRETS), _binding("ClusterRole", _CONFIDANT, None, both))
    yield Each(_SECRETS.path, _binding("Role", _CONFIDANT, Item(), both))


def reading() -> list[Node]:
    """What every agent follows, what it does not wait to be told of, and Events of what it met."""
    return [
        *_rules((item.kind for item in WATCHED), _FOLLOW),
        _rule("", map(plural, (OWN, *ELSEWHERE)), _ASK),
        *(_rule(group, (plural(CRDS.kind),), _FOLLOW) for group in _groups(CRDS)),
        _rule(EVENTS.group, (EVENTS.plural,), ("create", "patch")),
    ]


def sharing() -> list[Node]:
    """What another cluster that is joined with this one reads of it."""
    rules = _rules((item.kind for item in READ), _FOLLOW)
    return [*rules, _rule("", map(plural, (OWN, *ELSEWHERE)), _FOLLOW)]


def confiding() -> list[Node]:
    return [_rule("", map(plural, sorted(BY_NAME)), _FOLLOW)]


def writing() -> list[Node]:
    """Statuses, each after a look at its object; whom of hosts Services have; imports."""
    return [
        *_rules(STATUSES, ("get",)),
        *_rules(STATUSES, ("patch",), "/status"),
        *_rules(("EndpointSlice",), ("create", "patch", "delete")),
        *_rules(("MeshWorkload",), ("delete",)),
        *_rules(("ServiceImport",), ("create", "patch", "delete")),
    ]


def electing() -> list[Node]:
    group = "coordination.k8s.io"
    return [
        _rule(group, ("leases",), ("create",)),  # a name cannot be asked for here
        {**_rule(group, ("leases",), ("get", "update")), "resourceNames": [LEASE]},
        _rule(group, ("leases",), ("list",)),  # of hosts
    ]


def _rules(kinds: Iterable[str], verbs: Sequence[str], below: str = "") -> list[Node]:
    """One for each group."""
    groups: dict[str, list[str]] = defaultdict(list)
    for kind in kinds:
        for group in _groups(ALL[kind]):
            groups[group].append(plural(kind) + below)
    return [_rule(group, groups[group], verbs) for group in sorted(groups)]


def _groups(item: Watched) -> set[str]:
    """Those of the versions in which a kind is read."""
    return {version.rpartition("/")[0] for version in item.versions}


def _rule(group: str, resources: Iterable[str], verbs: Sequence[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": sorted(resources), "verbs": list(verbs)}


def _role(kind: str, name: str, namespace: Node, rules: list[Node]) -> Node:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": kind,
        "metadata": metadata(name, namespace),
        "rules": rules,
    }


def _binding(kind: str, name: str, namespace: Node, accounts: Sequence[str]) -> Node:
    subjects = [
        {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE} for account in accounts
    ]
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": f"{kind}Binding",
        "metadata": metadata(name, namespace),
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": name},
        "subjects": subjects,
    }
