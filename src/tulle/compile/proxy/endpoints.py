"""Backends → endpoints."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from tulle import xds

from ..services import Backend
from .fields import Fields, socket_address, value


def endpoints_of(name: str, backends: Iterable[Backend], protocol: str) -> bytes:
    """A ClusterLoadAssignment; empty where there is nobody, or Envoy would wait for it."""
    found = [_endpoint(backend, protocol) for backend in backends]
    return xds.pack(
        "envoy.config.endpoint.v3.ClusterLoadAssignment",
        cluster_name=name,
        endpoints=[{"lb_endpoints": found}] if found else [],
    )


def _endpoint(backend: Backend, protocol: str) -> Fields:
    address = socket_address(ip_address(backend.address), backend.port, protocol)
    return {
        "endpoint": {"address": address},
        "load_balancing_weight": value(backend.weight),
    }
