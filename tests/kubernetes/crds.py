"""Custom resource definitions of the kinds that Tulle reads: names, versions and statuses.

Specs are not judged, so that the API server lets through what Tulle has to refuse. Lists in a
status merge as in the projects' own definitions, which is what server-side apply goes by.
"""

from __future__ import annotations

from typing import get_args, get_type_hints

from tests.kubernetes.kubectl import Json
from tulle.model.kinds import KINDS

_BUILT_IN = {"discovery.k8s.io", "networking.k8s.io"}  # and those without a group
_CLUSTER_WIDE = {
    "CiliumCIDRGroup",
    "CiliumClusterwideNetworkPolicy",
    "CiliumEgressGatewayPolicy",
    "CiliumLoadBalancerIPPool",
    "ClusterNetworkPolicy",
    "GatewayClass",
    "MeshNode",
}
_ANY = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_APPROVED = {"api-approved.kubernetes.io": "unapproved, for tests only"}


def _map_of(key: str, *more: str, **parts: Json) -> Json:
    """A list of which each item has an owner of its own, and has to have these words."""
    words = {name: {"type": "string"} for name in (key, *more)}
    item = {**_ANY, "properties": {**words, **parts}, "required": [key, *more]}
    return {
        "type": "array",
        "items": item,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": [key],
    }


# as metav1.Condition
_CONDITIONS = {"conditions": _map_of("type", "status", "reason", "message", "lastTransitionTime")}
_ENTRY = {**_ANY, "properties": _CONDITIONS}
_ATOMIC = {"type": "array", "items": _ENTRY, "x-kubernetes-list-type": "atomic"}
_LISTENERS = {**_CONDITIONS, "listeners": _map_of("name", **_CONDITIONS)}
_STATUSES: dict[str, Json] = {"Gateway": _LISTENERS, "ListenerSet": _LISTENERS}
_OTHER_STATUS = {**_CONDITIONS, "parents": _ATOMIC, "ancestors": _ATOMIC}


def definitions() -> list[Json]:
    """One for each kind that API servers do not have by themselves."""
    made = []
    for kind, type_ in KINDS.items():
        versions = list(get_args(get_type_hints(type_)["api_version"]))
        group = versions[0].rpartition("/")[0]
        if group and group not in _BUILT_IN:
            made.append(definition(kind, group, [item.rpartition("/")[2] for item in versions]))
    return made


def definition(kind: str, group: str, versions: list[str]) -> Json:
    """The first version is the one that is stored."""
    status = {**_ANY, "properties": _STATUSES.get(kind, _OTHER_STATUS)}
    schema = {**_ANY, "properties": {"spec": _ANY, "status": status}}
    served = [
        {
            "name": version,
            "served": True,
            "storage": version == versions[0],
            "schema": {"openAPIV3Schema": schema},
            "subresources": {"status": {}},
        }
        for version in versions
    ]
    plural = plural_of(kind)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "annotations": _APPROVED},
        "spec": {
            "group": group,
            "scope": "Cluster" if kind in _CLUSTER_WIDE else "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
            },
            "versions": served,
        },
    }


def plural_of(kind: str) -> str:
    """As all of these projects name their resources.

    >>> [plural_of(kind) for kind in ("Gateway", "GatewayClass", "AuthPolicy")]
    ['gateways', 'gatewayclasses', 'authpolicies']
    """
    word = kind.lower()
    if word.endswith("y") and word[-2] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith("s") else f"{word}s"
