"""Worlds of Services, routes and policies, and the routing that such routes come to."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import msgspec
import yaml

from tulle.edges.manifests import validate
from tulle.model.kinds import KINDS, KubernetesObject
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import Destination, Front, RequestMatch, Routing, Rule, Server, VirtualHost
from tulle.model.world import World

FIELDS = {
    "Service": "services",
    "Gateway": "gateways",
    "HTTPRoute": "http_routes",
    "Ingress": "ingresses",
    "ReferenceGrant": "grants",
    "BackendTrafficPolicy": "backend_traffic",
    "XBackendTrafficPolicy": "x_backend_traffic",
    "RateLimitPolicy": "rate_limits",
    "FaultInjectionPolicy": "faults",
    "AuthPolicy": "auth_policies",
}
VERSIONS = {
    "Service": "v1",
    "Gateway": "gateway.networking.k8s.io/v1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "Ingress": "networking.k8s.io/v1",
    "ReferenceGrant": "gateway.networking.k8s.io/v1",
    "XBackendTrafficPolicy": "gateway.networking.x-k8s.io/v1alpha1",
}
GROUPS = {"Service": "", "Ingress": "networking.k8s.io"}
GATEWAY = ObjectRef("Gateway", "shop", "edge")
ROUTE = ObjectRef("HTTPRoute", "shop", "web")
SERVICE = ObjectRef("Service", "shop", "web")
TOWN = """
{kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [
  {name: http, port: 80}, {name: admin, port: 81}]}}
---
{kind: Service, metadata: {name: auth}, spec: {selector: {app: auth}, ports: [{port: 9000}]}}
---
{kind: Gateway, metadata: {name: edge}, spec: {gatewayClassName: tulle, listeners: [
  {name: http, port: 80, protocol: HTTP}, {name: other, port: 81, protocol: HTTP}]}}
---
{kind: HTTPRoute, metadata: {name: web}, spec: {parentRefs: [{name: edge}], rules: [
  {name: cart, backendRefs: [{name: web, port: 80}]}, {backendRefs: [{name: web, port: 81}]}]}}
"""


def of_yaml(text: str) -> list[KubernetesObject]:
    """The documents, with `apiVersion` by their kinds; in namespace "shop" if none is given."""
    found = []
    for document in yaml.safe_load_all(text):
        kind = document["kind"]
        document = {"apiVersion": VERSIONS.get(kind, "tulle.io/v1alpha1"), **document}
        document["metadata"].setdefault("namespace", "shop")
        found.append(validate(msgspec.convert(document, KINDS[kind])))
    return found


def world_of(text: str = "", town: str = TOWN) -> World:
    by_field: dict[str, dict[tuple[str, str], Any]] = {}
    for item in of_yaml(f"{town}\n---\n{text}" if text else town):
        key = item.metadata.namespace, item.metadata.name
        by_field.setdefault(FIELDS[item.kind], {})[key] = item
    return World(**by_field)


def policy(kind: str, name: str, *targets: str, created: str = "", **spec: Any) -> str:
    """YAML of one. A target is `Kind/name`, or `Kind/name/section`."""
    refs = []
    for target in targets:
        of, named, *section = target.split("/")
        group = GROUPS.get(of, "gateway.networking.k8s.io")
        ref = {"group": group, "kind": of, "name": named}
        refs.append({**ref, "sectionName": section[0]} if section else ref)
    metadata = {"name": name, "generation": 3}
    if created:
        metadata["creationTimestamp"] = created
    document = {"kind": kind, "metadata": metadata, "spec": {"targetRefs": refs, **spec}}
    return yaml.safe_dump(document)


def limited(name: str, *targets: str, requests: int = 1, **spec: Any) -> str:
    return policy("RateLimitPolicy", name, *targets, limits=[{"requests": requests}], **spec)


CART = Rule(ROUTE, 0, "cart", destinations=(Destination(("shop", "web"), 80),))
REST = Rule(ROUTE, 1, destinations=(Destination(("shop", "web"), 81),))


def routing_of(*rules: Rule, origin: ObjectRef = GATEWAY) -> Routing:
    """Two listeners of a Gateway with the same routes, or a Service's port in the mesh."""
    hosts = (VirtualHost("*", tuple((RequestMatch(), rule) for rule in rules or (CART, REST))),)
    mesh = origin.kind == "Service"
    names = ("",) if mesh else ("http", "other")
    servers = tuple(Server(name, hosts=hosts) for name in names)
    address = ip_address("192.0.2.1")
    service = (origin.namespace, origin.name)
    front = Front("front", origin, service, (address,), 80, mesh=mesh, servers=servers)
    return Routing({"front": front})


def rules_in(routing: Routing, server: str) -> list[Rule]:
    servers = {item.name: item for item in routing.fronts["front"].servers}
    return [rule for _, rule in servers[server].hosts[0].entries]
