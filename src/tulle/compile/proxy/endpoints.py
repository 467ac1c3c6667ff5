"""Backends → endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from tulle import xds

from ..services import Backend
from .fields import Fields, socket_address, value
from .targets import Part

# What is sent there is lost: nobody answers on the port for that (RFC 863).
_DISCARD = Backend("127.0.0.1", 9)

Backing = Sequence[tuple[Part, Sequence[Backend]]]


def endpoints_of(name: str, backing: Backing, protocol: str) -> bytes:
    """A ClusterLoadAssignment; empty where there is nobody, or Envoy would wait for it.

    Each part is a locality, as those have weights of their own.
    """
    return xds.pack(
        "envoy.config.endpoint.v3.ClusterLoadAssignment",
        cluster_name=name,
        endpoints=[
            _locality(number, part, backends, protocol)
            for number, (part, backends) in enumerate(backing)
            if backends or part.service is None
        ],
    )


def _locality(number: int, part: Part, backends: Sequence[Backend], protocol: str) -> Fields:
    own = backends if part.service else [_DISCARD]
    return {
        "locality": {"sub_zone": f"{number}"},
        "load_balancing_weight": value(part.weight),
        "lb_endpoints": [_endpoint(backend, protocol) for backend in own],
    }


def _endpoint(backend: Backend, protocol: str) -> Fields:
    address = socket_address(ip_address(backend.address), backend.port, protocol)
    return {
        "endpoint": {"address": address},
        "load_balancing_weight": value(backend.weight),
    }
