"""Resources as compile/proxy makes them, as small as they can be."""

from __future__ import annotations

from typing import Any

from tulle import xds
from tulle.model.kubernetes import ObjectRef
from tulle.model.proxy import Resource

ADS = {"ads": {}, "resource_api_version": "V3"}
_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def ref(name: str) -> ObjectRef:
    return ObjectRef("HTTPRoute", "shop", name)


def cluster(name: str, **fields: Any) -> Resource:
    """One that is told its endpoints."""
    whole = {"type": "EDS", "eds_cluster_config": {"eds_config": ADS}, **fields}
    packed = xds.pack(
        "envoy.config.cluster.v3.Cluster", name=name, connect_timeout={"seconds": 1}, **whole
    )
    return Resource(packed, (ref(name),))


def endpoints(name: str, *ports: int) -> Resource:
    """Processes on 127.0.0.1."""
    members = [
        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
        for port in ports
    ]
    packed = xds.pack(
        "envoy.config.endpoint.v3.ClusterLoadAssignment",
        cluster_name=name,
        endpoints=[{"lb_endpoints": members}] if members else [],
    )
    return Resource(packed, (ref(name),))


def listener(name: str, port: int, log: Any = None, **fields: Any) -> Resource:
    """HTTP on 127.0.0.1, as `route` of the same name says."""
    logs = [{"name": "log", "typed_config": log}] if log else []
    router = xds.any_of("envoy.extensions.filters.http.router.v3.Router")
    manager = xds.any_of(
        _HCM,
        stat_prefix=name,
        access_log=logs,
        rds={"route_config_name": name, "config_source": ADS},
        http_filters=[{"name": "router", "typed_config": router}],
    )
    whole: dict[str, Any] = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "transparent": {"value": True},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
        **fields,
    }
    packed = xds.pack("envoy.config.listener.v3.Listener", name=name, **whole)
    return Resource(packed, (ref(name),))


def route(name: str, says: str = "", to: str = "") -> Resource:
    """Answers by itself with what it `says`, or passes `to` a cluster."""
    action: dict[str, Any] = (
        {"route": {"cluster": to}}
        if to
        else {"direct_response": {"status": 200, "body": {"inline_string": says}}}
    )
    host = {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **action}]}
    packed = xds.pack("envoy.config.route.v3.RouteConfiguration", name=name, virtual_hosts=[host])
    return Resource(packed, (ref(name),))
