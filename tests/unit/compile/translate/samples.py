"""Policies as YAML → what they are translated to."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from tulle.compile.rules import Policy, PolicyRule
from tulle.compile.translate import policies_of
from tulle.edges.manifests import validate
from tulle.model.kinds import KINDS
from tulle.model.world import World

PLACES = {
    "NetworkPolicy": "policies",
    "CiliumNetworkPolicy": "cilium_policies",
    "CiliumClusterwideNetworkPolicy": "clusterwide_policies",
    "ClusterNetworkPolicy": "cluster_policies",
    "CiliumCIDRGroup": "cidr_groups",
    "Service": "services",
    "EndpointSlice": "slices",
}


def world(text: str) -> World:
    """The objects of a YAML text, validated; apiVersion may be left out."""
    parts: dict[str, dict[Any, Any]] = {place: {} for place in PLACES.values()}
    for document in yaml.safe_load_all(text):
        obj = validate(msgspec.convert(document, KINDS[document["kind"]]))
        key = (obj.metadata.namespace, obj.metadata.name)
        parts[PLACES[obj.kind]][key if obj.metadata.namespace else key[1]] = obj
    return World(**parts)


def translated(text: str) -> tuple[Policy, ...]:
    return policies_of(world(text)).policies


def only(text: str) -> Policy:
    (policy,) = translated(text)
    return policy


def rule(text: str) -> PolicyRule:
    (found,) = only(text).rules
    return found
