"""Whom the lists of a rule of Cilium's mean."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.compile.explain.town import asked, policy
from tulle.model.cilium import CIDRGroupSpec, CiliumCIDRGroup
from tulle.model.kubernetes import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointSlice,
    ObjectMeta,
    Service,
    ServiceSpec,
)

CNP, CCNP = "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"
GROUPS = (
    CiliumCIDRGroup(
        ObjectMeta("near", labels={"kind": "office"}), CIDRGroupSpec(("192.0.2.0/24",))
    ),
    CiliumCIDRGroup(
        ObjectMeta("far", labels={"kind": "shop"}), CIDRGroupSpec(("198.51.100.0/24",))
    ),
)
SERVICES = (
    Service(
        ObjectMeta("web", "bank", labels={"tier": "gold"}), ServiceSpec(selector={"app": "web"})
    ),
    Service(ObjectMeta("cache", "shop"), ServiceSpec(selector={"app": "cache"})),
    Service(ObjectMeta("partner", "shop"), ServiceSpec()),
    EndpointSlice(
        ObjectMeta("partner-1", "shop", labels={SERVICE_NAME_LABEL: "partner"}),
        "IPv4",
        (Endpoint(("192.0.2.7",)), Endpoint(("10.0.0.12",))),
    ),
)


def admitting(lists: str, direction: str = "ingress", path: str = "shop/p") -> Any:
    kind = CNP if "/" in path else CCNP
    return policy(path, f"{{endpointSelector: {{}}, {direction}: [{{{lists}}}]}}", kind)


@pytest.mark.parametrize(
    ("selectors", "source", "admitted"),
    [
        # of the policy's namespace, unless they name one
        ("[{}]", "shop/web", True),
        ("[{}]", "shop/cache", True),
        ("[{}]", "bank/web", False),
        ("[{}]", "internet", False),
        ("[{}]", "east", False),
        ("[{}]", "lost", False),
        ("[{matchLabels: {app: web}}]", "shop/web", True),
        ("[{matchLabels: {app: web}}]", "bank/web", False),
        ("[{matchLabels: {app: web, 'k8s:io.kubernetes.pod.namespace': bank}}]", "bank/web", True),
        ("[{matchLabels: {app: web, 'k8s:io.kubernetes.pod.namespace': bank}}]", "shop/web", False),
        ("[{matchExpressions: [{key: io.kubernetes.pod.namespace, operator: Exists}]}]",
         "park/tree", True),
        ("[{matchExpressions: [{key: 'k8s:io.kubernetes.pod.namespace', operator: NotIn, "
         "values: [bank]}]}]", "bank/web", False),
        ("[{matchLabels: {'k8s:io.cilium.k8s.namespace.labels.team': blue}}]", "bank/till", True),
        ("[{matchLabels: {'k8s:io.cilium.k8s.namespace.labels.team': blue}}]", "shop/web", False),
        ("[{matchLabels: {app: web}}, {matchLabels: {app: cache}}]", "shop/cache", True),
        # reserved labels are other words for entities
        ("[{matchLabels: {'reserved:world': ''}}]", "internet", True),
        ("[{matchLabels: {'reserved:world': ''}}]", "shop/web", False),
        ("[{matchLabels: {'reserved:remote-node': ''}}]", "east", True),
        ("[{matchExpressions: [{key: 'reserved:host', operator: DoesNotExist}]}]",
         "shop/web", True),
    ],
)  # fmt: skip
def test_endpoints(selectors: str, source: str, admitted: bool) -> None:
    assert (
        asked(f"{source} > shop/db", admitting(f"fromEndpoints: {selectors}")).allowed is admitted
    )


@pytest.mark.parametrize(
    ("source", "admitted"),
    [("bank/web", True), ("shop/cache", True), ("internet", False), ("lost", False)],
)
def test_everybody_of_a_clusterwide_policy_is_every_workload(source: str, admitted: bool) -> None:
    item = admitting("fromEndpoints: [{}]", path="wide")
    assert asked(f"{source} > shop/db", item).allowed is admitted


@pytest.mark.parametrize(
    ("entity", "admitted"),
    [
        ("all", "shop/web bank/web shop/cache east lost internet"),
        ("cluster", "shop/web bank/web shop/cache east lost"),
        ("world", "internet"),
        ("world-ipv4", "internet"),
        ("world-ipv6", ""),
        ("remote-node", "east"),
        ("unmanaged", "lost"),
        ("host", ""),
        ("none", ""),
        ("health", ""),
        ("init", ""),
    ],
)
def test_entities(entity: str, admitted: str) -> None:
    item = admitting(f"fromEntities: [{entity}]")
    for source in ("shop/web", "bank/web", "shop/cache", "east", "lost", "internet"):
        assert asked(f"{source} > shop/db", item).allowed is (source in admitted.split()), source


def test_the_world_of_ipv6() -> None:
    item = admitting("fromEntities: [world-ipv6]")
    assert asked("internet > shop/db 6", item).allowed


@pytest.mark.parametrize(
    ("lists", "source", "admitted"),
    [
        # only what is outside of the mesh, whatever the block has
        ("fromCIDR: [0.0.0.0/0]", "internet", True),
        ("fromCIDR: [0.0.0.0/0]", "shop/web", False),
        ("fromCIDR: [0.0.0.0/0]", "shop/cache", False),
        ("fromCIDR: [0.0.0.0/0]", "east", False),
        ("fromCIDR: [0.0.0.0/0]", "lost", False),
        ("fromCIDR: [192.0.2.7]", "internet", True),
        ("fromCIDR: [192.0.2.8/30]", "internet", False),
        ("fromCIDR: ['::/0']", "internet", False),
        ("fromCIDRSet: [{cidr: 192.0.2.0/24}]", "internet", True),
        ("fromCIDRSet: [{cidr: 192.0.2.0/24, except: [192.0.2.0/29]}]", "internet", False),
        ("fromCIDRSet: [{cidr: 192.0.2.0/24, except: [192.0.2.8/29]}]", "internet", True),
        ("fromCIDRSet: [{cidrGroupRef: near}]", "internet", True),
        ("fromCIDRSet: [{cidrGroupRef: near, except: [192.0.2.0/29]}]", "internet", False),
        ("fromCIDRSet: [{cidrGroupRef: far}]", "internet", False),
        ("fromCIDRSet: [{cidrGroupRef: nowhere}]", "internet", False),
        ("fromCIDRSet: [{cidrGroupSelector: {}}]", "internet", True),
        ("fromCIDRSet: [{cidrGroupSelector: {matchLabels: {kind: office}}}]", "internet", True),
        ("fromCIDRSet: [{cidrGroupSelector: {matchLabels: {kind: shop}}}]", "internet", False),
    ],
)
def test_cidrs(lists: str, source: str, admitted: bool) -> None:
    assert asked(f"{source} > shop/db", admitting(lists), *GROUPS).allowed is admitted


@pytest.mark.parametrize(
    ("selector", "source", "admitted"),
    [
        ("{}", "east", True),
        ("{matchLabels: {role: core}}", "east", True),
        ("{matchLabels: {'node:role': core}}", "east", True),
        ("{matchLabels: {role: edge}}", "east", False),
        ("{}", "shop/web", False),
        ("{}", "lost", False),
    ],
)
def test_nodes(selector: str, source: str, admitted: bool) -> None:
    assert asked(f"{source} > shop/db", admitting(f"fromNodes: [{selector}]")).allowed is admitted


@pytest.mark.parametrize(
    ("service", "destination", "admitted"),
    [
        ("{k8sService: {serviceName: web, namespace: bank}}", "bank/web", True),
        ("{k8sService: {serviceName: web, namespace: bank}}", "bank/vault", False),
        ("{k8sService: {serviceName: web, namespace: bank}}", "shop/web", False),
        ("{k8sService: {serviceName: web, namespace: shop}}", "bank/web", False),
        ("{k8sService: {serviceName: web}}", "bank/web", True),
        ("{k8sService: {serviceName: cache}}", "shop/cache", True),
        ("{k8sService: {serviceName: partner}}", "internet", True),
        ("{k8sService: {serviceName: partner}}", "bank/vault", True),
        ("{k8sService: {serviceName: partner}}", "bank/web", False),
        ("{k8sService: {serviceName: nothing}}", "bank/web", False),
        ("{k8sServiceSelector: {selector: {matchLabels: {tier: gold}}}}", "bank/web", True),
        ("{k8sServiceSelector: {selector: {matchLabels: {tier: gold}}, namespace: shop}}",
         "bank/web", False),
        ("{k8sServiceSelector: {selector: {matchLabels: {tier: tin}}}}", "bank/web", False),
    ],
)  # fmt: skip
def test_services(service: str, destination: str, admitted: bool) -> None:
    item = admitting(f"toServices: [{service}]", "egress")
    assert asked(f"shop/db > {destination}", item, *SERVICES).allowed is admitted


@pytest.mark.parametrize(
    ("rules", "source", "admitted"),
    [
        # what one rule requires is required of every workload
        ("{fromEndpoints: [{}]}, {fromRequires: [{matchLabels: {tier: back}}]}", "shop/api", True),
        ("{fromEndpoints: [{}]}, {fromRequires: [{matchLabels: {tier: back}}]}", "shop/web", False),
        ("{fromEndpoints: [{}], fromRequires: [{matchLabels: {tier: back}}]}", "shop/web", False),
        ("{fromEntities: [all]}, {fromRequires: [{matchLabels: {tier: back}}]}", "shop/web", False),
        ("{fromEntities: [all]}, {fromRequires: [{matchLabels: {tier: back}}]}", "internet", True),
        # and grants nothing by itself
        ("{fromRequires: [{matchLabels: {tier: back}}]}", "shop/api", False),
        ("{fromRequires: [{matchLabels: {tier: back}}], toPorts: [{ports: [{port: '80'}]}]}",
         "shop/api", False),
    ],
)  # fmt: skip
def test_requirements(rules: str, source: str, admitted: bool) -> None:
    item = policy("shop/p", f"{{endpointSelector: {{}}, ingress: [{rules}]}}", CNP)
    assert asked(f"{source} > shop/db", item).allowed is admitted


def test_requirements_bind_other_policies() -> None:
    rule = "{fromRequires: [{matchLabels: {tier: back}}]}"
    strict = policy("shop/p", f"{{endpointSelector: {{}}, ingress: [{rule}]}}", CNP)
    open_ = admitting("fromEndpoints: [{}]", path="shop/q")
    assert asked("shop/api > shop/db", strict, open_).allowed
    assert not asked("shop/web > shop/db", strict, open_).allowed
