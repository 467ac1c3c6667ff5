from dataclasses import replace
from ipaddress import ip_network

from tulle.compile.rules import NAMESPACE_KEY, Cidr, Pods
from tulle.compile.translate.named import Named
from tulle.model.cilium import (
    CIDRRule,
    CiliumService,
    K8sServiceNamespace,
    K8sServiceSelectorNamespace,
)
from tulle.model.kubernetes import LabelSelector, ObjectMeta, Service, ServiceSpec

from .samples import world

GROUPS = """
{kind: CiliumCIDRGroup, metadata: {name: a, labels: {kind: office}},
 spec: {externalCIDRs: [10.0.0.0/8, fd00::/8]}}
---
{kind: CiliumCIDRGroup, metadata: {name: b, labels: {kind: office}},
 spec: {externalCIDRs: [10.0.0.0/8, 192.0.2.0/24]}}
---
{kind: CiliumCIDRGroup, metadata: {name: c}, spec: {externalCIDRs: []}}
"""
SERVICES = """
{kind: Service, metadata: {name: web, namespace: shop, labels: {tier: front}},
 spec: {selector: {app: web}, ports: [{port: 80}]}}
---
{kind: Service, metadata: {name: bank, namespace: shop, labels: {tier: back}},
 spec: {ports: [{port: 443}]}}
---
{kind: Service, metadata: {name: bank, namespace: other},
 spec: {selector: {app: b}, ports: [{port: 443}]}}
---
{kind: EndpointSlice, addressType: IPv4, ports: [{port: 443}],
 metadata: {name: bank-1, namespace: shop, labels: {kubernetes.io/service-name: bank}},
 endpoints: [{addresses: [192.0.2.7]}, {addresses: [192.0.2.5]}]}
---
{kind: EndpointSlice, addressType: IPv4, ports: [{port: 443}],
 metadata: {name: bank-1, namespace: other, labels: {kubernetes.io/service-name: bank}},
 endpoints: [{addresses: [192.0.2.9]}]}
"""


def by_name(name: str, namespace: str = "") -> CiliumService:
    return CiliumService(K8sServiceNamespace(name, namespace))


def by_labels(namespace: str = "", **labels: str) -> CiliumService:
    chosen = K8sServiceSelectorNamespace(LabelSelector(labels), namespace)
    return CiliumService(k8s_service_selector=chosen)


def in_shop(**labels: str) -> Pods:
    return Pods(LabelSelector({**labels, NAMESPACE_KEY: "shop"}))


def test_groups_by_name_and_by_label() -> None:
    named = Named(world(GROUPS))
    assert named.group_cidrs(CIDRRule(cidr_group_ref="a")) == ("10.0.0.0/8", "fd00::/8")
    selector = LabelSelector({"kind": "office"})
    found = named.group_cidrs(CIDRRule(cidr_group_selector=selector))
    assert found == ("10.0.0.0/8", "fd00::/8", "192.0.2.0/24")
    assert not named.missing


def test_an_empty_group_is_there() -> None:
    named = Named(world(GROUPS))
    assert (named.group_cidrs(CIDRRule(cidr_group_ref="c")), named.missing) == ((), [])


def test_groups_that_are_missing_are_said() -> None:
    named = Named(world(GROUPS))
    assert named.group_cidrs(CIDRRule(cidr_group_ref="x")) == ()
    assert named.group_cidrs(CIDRRule(cidr_group_selector=LabelSelector({"kind": "x"}))) == ()
    assert [text.partition(": ")[0] for text in named.missing] == [
        "there is no CiliumCIDRGroup x",
        "cidrGroupSelector matches no CiliumCIDRGroup",
    ]


def test_a_service_means_the_workloads_that_it_selects() -> None:
    named = Named(world(SERVICES))
    assert list(named.service_endpoints(by_name("web", "shop"))) == [in_shop(app="web")]
    assert list(named.service_endpoints(by_labels(tier="front"))) == [in_shop(app="web")]


def test_a_service_without_selector_means_what_its_slices_list() -> None:
    named = Named(world(SERVICES))
    found = list(named.service_endpoints(by_name("bank", "shop")))
    assert found == [Cidr(ip_network("192.0.2.5")), Cidr(ip_network("192.0.2.7"))]


def test_a_service_without_namespace_is_one_of_any() -> None:
    named = Named(world(SERVICES))
    assert len(list(named.service_endpoints(by_name("bank")))) == 3


def test_what_stands_for_an_import_is_meant_by_no_policy() -> None:
    """Not even by a selector of all: whoever backs it may be another cluster's."""
    seen, meta = world(SERVICES), ObjectMeta("clusterset/web", "shop")
    stands = {("shop", "clusterset/web"): Service(meta, ServiceSpec(selector={"app": "x"}))}
    found = replace(seen, services={**seen.services, **stands})
    assert in_shop(app="web") in (named := [*Named(found).service_endpoints(by_labels())])
    assert in_shop(app="x") not in named


def test_services_that_are_missing_are_said() -> None:
    named = Named(world(SERVICES))
    assert not list(named.service_endpoints(by_name("web", "other")))
    assert not list(named.service_endpoints(by_labels("other", tier="front")))
    assert [text.partition(": ")[0] for text in named.missing] == [
        "there is no Service other/web",
        "there is no Service that k8sServiceSelector matches",
    ]


def test_what_was_used_is_known() -> None:
    place = world(GROUPS + "---" + SERVICES)
    named = Named(place)
    named.group_cidrs(CIDRRule(cidr_group_ref="a"))
    assert [id(item) for item in named.used] == [id(place.cidr_groups)]
    list(named.service_endpoints(by_name("web")))
    assert id(place.slices) not in {id(item) for item in named.used}
    list(named.service_endpoints(by_name("bank")))
    assert id(place.slices) in {id(item) for item in named.used}
