"""Worlds from YAML, and the routing of them."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import yaml

from tulle.compile.routes import route, with_gateways
from tulle.compile.services import with_addresses
from tulle.edges.manifests import parse
from tulle.model.cilium import CiliumLoadBalancerIPPool
from tulle.model.contents import ConfigMap, Secret
from tulle.model.gateway import (
    BackendTLSPolicy,
    Gateway,
    GatewayClass,
    ListenerSet,
    ReferenceGrant,
)
from tulle.model.gateway_routes import GRPCRoute, HTTPRoute, TCPRoute, TLSRoute, UDPRoute
from tulle.model.ingress import Ingress, IngressClass
from tulle.model.kubernetes import Namespace, ObjectRef, Service
from tulle.model.routing import Front, Routing, VirtualHost
from tulle.model.world import World

POOL = """
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata: {name: pool}
spec: {blocks: [{cidr: 192.0.2.0/24}]}
"""
GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: shop, generation: 3}
spec:
  gatewayClassName: tulle
  listeners:
  - {name: http, port: 80, protocol: HTTP}
"""
SERVICES = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80}, {name: two, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {selector: {app: api}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: far, namespace: away}
spec: {selector: {app: far}, ports: [{port: 80}]}
"""
_FIELDS: dict[type, str] = {
    Service: "services",
    Secret: "secrets",
    ConfigMap: "config_maps",
    Gateway: "gateways",
    ListenerSet: "listener_sets",
    ReferenceGrant: "grants",
    BackendTLSPolicy: "backend_tls",
    HTTPRoute: "http_routes",
    GRPCRoute: "grpc_routes",
    TLSRoute: "tls_routes",
    TCPRoute: "tcp_routes",
    UDPRoute: "udp_routes",
    Ingress: "ingresses",
}
_NAMED: dict[type, str] = {
    GatewayClass: "gateway_classes",
    IngressClass: "ingress_classes",
    Namespace: "namespaces",
    CiliumLoadBalancerIPPool: "address_pools",
}


@cache
def _objects(text: str) -> tuple[Any, ...]:
    parsed = parse(text.encode(), "test.yaml")
    assert not parsed.errors, [str(bad.error) for bad in parsed.errors]
    return tuple(item.obj for item in parsed.objects)


def world_of(*texts: str | dict[str, Any], base: World | None = None) -> World:
    """`base` with the objects of these documents; an object that is there already is replaced."""
    fields: dict[str, dict[Any, Any]] = {}
    world = base or World()
    for text in texts:
        for item in _objects(text if isinstance(text, str) else json.dumps(text)):
            cluster_scoped = _NAMED.get(type(item))
            name = cluster_scoped or _FIELDS[type(item)]
            meta = item.metadata
            key = meta.name if cluster_scoped else (meta.namespace, meta.name)
            fields.setdefault(name, dict(getattr(world, name)))[key] = item
    return replace(world, **fields)


def completed(world: World) -> World:
    return with_addresses(with_gateways(world)[0])[0]


def routed(*texts: str | dict[str, Any]) -> Routing:
    """Of a world with a pool of addresses and some Services."""
    return route(completed(world_of(POOL, SERVICES, *texts)))


def http_route(name: str = "r", namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    return a_route("HTTPRoute", name, namespace, **spec)


def a_route(kind: str, name: str = "r", namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    """On the Gateway, if nothing else is said. `created` and `generation` are metadata."""
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    metadata["generation"] = spec.pop("generation", 1)
    if created := spec.pop("created", None):
        metadata["creationTimestamp"] = created
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "spec": {"parentRefs": [{"name": "gw", "namespace": "shop"}], **spec},
    }


def gateway(*listeners: dict[str, Any], **spec: Any) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(GATEWAY)
    document["metadata"].update(spec.pop("metadata", {}))
    document["spec"].update(listeners=list(listeners), **spec)
    return document


def listener(name: str = "http", port: int = 80, protocol: str = "HTTP", **more: Any) -> Any:
    return {"name": name, "port": port, "protocol": protocol, **more}


def condition(said: Any, kind: str) -> tuple[str, str]:
    """Status and reason."""
    found = next((item for item in said["conditions"] if item["type"] == kind), None)
    return (found["status"], found["reason"]) if found else ("", "")


def of_route(routing: Routing, name: str = "r", kind: str = "HTTPRoute", at: int = 0) -> Any:
    """What is said of a route by one of its parents."""
    return routing.status[ObjectRef(kind, "shop", name)]["parents"][at]


def of_gateway(routing: Routing, name: str = "gw") -> Any:
    return routing.status[ObjectRef("Gateway", "shop", name)]


def of_listener(routing: Routing, name: str) -> Any:
    return next(item for item in of_gateway(routing)["listeners"] if item["name"] == name)


def front(routing: Routing, port: int = 80) -> Front:
    return routing.fronts[f"gateway/shop/gw/{port}"]


def hosts(routing: Routing, port: int = 80, server: int = 0) -> dict[str, VirtualHost]:
    return {host.hostname: host for host in front(routing, port).servers[server].hosts}


def order(host: VirtualHost) -> list[str]:
    """Which routes' rules are tried, in order: NAME/INDEX."""
    return [f"{rule.origin.name}/{rule.index}" for _, rule in host.entries]


TO_WEB: list[dict[str, Any]] = [{"backendRefs": [{"name": "web", "port": 80}]}]


def with_paths(*paths: str | dict[str, Any]) -> list[dict[str, Any]]:
    """A rule for each path (prefix) or match."""
    matches = [{"path": {"value": item}} if isinstance(item, str) else item for item in paths]
    return [{"matches": [match], **TO_WEB[0]} for match in matches]
