"""What the node's proxy should have: xDS resources, serialised, by kind and name.

And what it shares with the kernel's programs: bpf/abi.h has the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, NamedTuple

from .kubernetes import ObjectRef

XdsKind = Literal["runtime", "cluster", "endpoints", "secret", "listener", "route", "extension"]


class Resource(NamedTuple):
    """`body` is the serialised message; `origins` are whom to blame if the proxy refuses it."""

    body: bytes
    origins: tuple[ObjectRef, ...] = ()


XdsImage = Mapping[XdsKind, Mapping[str, Resource]]

# Name of the cluster, there from the start, where the agent takes access logs by gRPC.
AGENT = "tulle-agent"
# In a connection's filter state, for access logs: where it came in, and by which rule it was passed
# on. HTTP has its rule as the route's name.
FRONT, RULE = "tulle.front", "tulle.rule"

# In Envoy's runtime how many of the requests that went well are told, and the layer with it, which
# the agent serves.
TOLD, TOLD_LAYER = "tulle.told", "tulle-told"

# Where it listens for L7 rules, the port being their number: reachable by no route.
RULES_ADDRESSES = (IPv4Address("192.0.0.8"), IPv6Address("100::8"))
# Source ports of its connections in a workload's name, first and last; its own are lower.
UPSTREAM_PORTS = (49152, 60999)

# Of Envoy's runtime, what is not as it comes. The value of a rate limit's descriptor is a format,
# or the bucket of each client would be one for all of them.
RUNTIME = ("envoy.reloadable_features.enable_formatter_for_ratelimit_action_descriptor_value",)
