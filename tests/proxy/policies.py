"""Rule sets that the real Envoy enforces on 127.0.0.1, in front of one backend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.proxy.envoy import serving
from tests.proxy.mesh import free_port
from tests.unit.compile.explain.town import policy, town
from tulle import xds
from tulle.compile import compile_world
from tulle.compile.ids import Ids
from tulle.compile.proxy.policy import policy_image
from tulle.compile.rule_sets import RuleSet
from tulle.model.proxy import Resource, XdsImage

_LISTENER = "envoy.config.listener.v3.Listener"
_CLUSTER = "envoy.config.cluster.v3.Cluster"
_ENDPOINTS = "envoy.config.endpoint.v3.ClusterLoadAssignment"


def rule_set_of(*specs: str, audit: bool = False, kind: str = "CiliumNetworkPolicy") -> RuleSet:
    """The one rule set that policies p0, p1, … of namespace shop come to."""
    items = [
        policy(f"shop/p{number}", spec, kind, audit="true" if audit else "false")
        for number, spec in enumerate(specs)
    ]
    (found,) = compile_world(town(*items), Ids()).memo.isolation.rule_sets.values()
    return found


@contextmanager
def enforcing(
    rule_sets: Sequence[RuleSet], backend: int, place: Path
) -> Iterator[Mapping[RuleSet, int]]:
    """Gives the port of each; who is allowed goes to the backend on that port."""
    ports: set[int] = set()
    while len(ports) < len(rule_sets):
        ports.add(free_port())
    numbered = {
        port: rules._replace(number=port) for port, rules in zip(ports, rule_sets, strict=True)
    }
    with serving(_local(policy_image(numbered).image, backend), place):
        yield dict(zip(rule_sets, ports, strict=True))


def _local(image: XdsImage, backend: int) -> XdsImage:
    """Listening on 127.0.0.1, and with a backend that does not depend on the connection."""
    listeners = {}
    for name, resource in image["listener"].items():
        made: Any = xds.message(_LISTENER).FromString(resource.body)
        made.address.socket_address.address = "127.0.0.1"
        made.ClearField("additional_addresses")
        listeners[name] = Resource(made.SerializeToString())
    ((name, resource),) = image["cluster"].items()
    cluster: Any = xds.message(_CLUSTER).FromString(resource.body)
    cluster.lb_policy = 0  # ROUND_ROBIN
    cluster.ClearField("cleanup_interval")
    cluster.eds_cluster_config.service_name = name
    address = {"socket_address": {"address": "127.0.0.1", "port_value": backend}}
    endpoints = xds.pack(
        _ENDPOINTS, endpoints=[{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    )
    return {
        **image,
        "listener": listeners,
        "cluster": {name: Resource(cluster.SerializeToString())},
        "endpoints": {name: Resource(endpoints)},
        "secret": {},
    }
