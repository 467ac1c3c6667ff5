"""One small town on two nodes, for policies to be judged on.

A flow is written `shop/web > shop/db TCP 5432`; `6` behind the destination asks for IPv6. Of ICMP
the number is the type. An outcome is written as the rules that decided, egress then ingress; `-`
is no rule.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import msgspec
import yaml

from tulle.compile.explain import explain
from tulle.model.cilium import (
    CiliumCIDRGroup,
    CiliumClusterwideNetworkPolicy,
    CiliumNetworkPolicy,
)
from tulle.model.cluster_policy import ClusterNetworkPolicy
from tulle.model.kinds import KINDS
from tulle.model.kubernetes import (
    ContainerPort,
    EndpointSlice,
    Namespace,
    NetworkPolicy,
    Object,
    ObjectMeta,
    Service,
    ServiceSpec,
)
from tulle.model.verdict import Flow, Verdict
from tulle.model.world import Node, Workload, World

ELSEWHERE = {
    "internet": ("192.0.2.7", "2001:db8::7"),
    "node": ("10.0.0.254", "fd00::fe"),
    "east": ("10.0.1.254", "fd00:1::fe"),
    "lost": ("10.0.1.99", "fd00:1::99"),  # in east's pod range, but nobody's
    "service": ("10.96.0.10", "fd00:96::10"),
}
_PARTS: dict[type[Object], str] = {
    NetworkPolicy: "policies",
    CiliumNetworkPolicy: "cilium_policies",
    CiliumClusterwideNetworkPolicy: "clusterwide_policies",
    ClusterNetworkPolicy: "cluster_policies",
    CiliumCIDRGroup: "cidr_groups",
    Service: "services",
    EndpointSlice: "slices",
}


def workload(
    path: str, host: str, labels: str, *ports: ContainerPort, account: str = "default"
) -> Workload:
    """`host` is the last part of its address; on the node east if it starts with 1."""
    namespace, name = path.split("/")
    addresses = (ip_address(f"10.0.{host}"), ip_address("fd00:{}::{}".format(*host.split("."))))
    number = int(host.partition(".")[2]) if host.startswith("0.") else 0
    known = yaml.safe_load(labels)
    node = "" if number else "east"
    return Workload(
        namespace, name, known, addresses, number, ports, service_account=account, node=node
    )


WORKLOADS = [
    workload("shop/web", "0.1", "{app: web, tier: front}", ContainerPort(80, "http")),
    workload(
        "shop/api",
        "0.2",
        "{app: api, tier: back}",
        ContainerPort(8080, "http"),
        ContainerPort(53, "dns", "UDP"),
        ContainerPort(54, "dns", "TCP"),
    ),
    workload("shop/db", "0.3", "{app: db, tier: back}", ContainerPort(5432, "pg")),
    workload("bank/web", "0.11", "{app: web, tier: front}"),
    workload("bank/vault", "0.12", "{app: vault}", ContainerPort(8443, "http"), account="guard"),
    workload("park/tree", "0.21", "{}"),
]
REMOTE = [
    workload("shop/cache", "1.1", "{app: cache, tier: back}", ContainerPort(6379, "http")),
    workload("bank/till", "1.2", "{app: till}"),
]


def town(*objects: Any) -> World:
    """Three namespaces, of which `park` has no Namespace object."""
    meta = {
        "shop": ObjectMeta("shop", labels={"team": "red"}),
        "bank": ObjectMeta("bank", labels={"team": "blue", "secure": "yes"}),
    }
    addresses = ELSEWHERE["service"]
    api = Service(
        ObjectMeta("api", "shop"), ServiceSpec(cluster_ip=addresses[0], cluster_ips=addresses)
    )
    headless = Service(
        ObjectMeta("db", "shop"), ServiceSpec(cluster_ip="None", cluster_ips=("None",))
    )
    parts: dict[str, dict[Any, Any]] = {name: {} for name in _PARTS.values()}
    for item in (api, headless, *objects):
        meta_of = item.metadata
        key = (meta_of.namespace, meta_of.name) if meta_of.namespace else meta_of.name
        parts[_PARTS[type(item)]][key] = item
    ranges = (ip_network("10.0.1.0/24"), ip_network("fd00:1::/64"))
    return World(
        node=Node("west", _addresses("node"), labels={"role": "edge"}),
        nodes={"east": Node("east", _addresses("east"), labels={"role": "core"}, pod_cidrs=ranges)},
        namespaces={name: Namespace(metadata) for name, metadata in meta.items()},
        workloads={item.key: item for item in WORKLOADS},
        remote={"east": {item.key: item for item in REMOTE}},
        **parts,
    )


def policy(path: str, spec: str, kind: str = "NetworkPolicy", **annotations: str) -> Any:
    """A policy from its path and the YAML of its spec; `audit="true"` stands for the annotation."""
    namespace, _, name = path.rpartition("/")
    content = yaml.safe_load(spec)
    if kind == "NetworkPolicy":
        content = {"podSelector": {}} | content
    meta = {
        "name": name,
        "namespace": namespace,
        "annotations": {f"tulle.io/{key}": value for key, value in annotations.items()},
    }
    part = "specs" if isinstance(content, list) else "spec"
    return msgspec.convert({"metadata": meta, part: content}, KINDS[kind])


def service(path: str, selector: str, *ports: str) -> Service:
    """Headless, from the YAML of its selector and ports."""
    namespace, name = path.split("/")
    spec = {
        "selector": yaml.safe_load(selector),
        "ports": [yaml.safe_load(port) for port in ports],
        "clusterIP": "None",
    }
    meta = {"name": name, "namespace": namespace}
    return msgspec.convert({"metadata": meta, "spec": spec}, Service)


def flow(text: str) -> Flow:
    source, _, destination, *rest = text.split()
    family = 0
    if rest and rest[0] == "6":
        family = 1
        rest = rest[1:]
    protocol, port = (*rest, "TCP", "80")[:2] if len(rest) != 1 else (rest[0], "0")
    known = {str(item): tuple(map(str, item.addresses)) for item in WORKLOADS + REMOTE} | ELSEWHERE
    return Flow(
        ip_address(known[source][family]),
        ip_address(known[destination][family]),
        protocol,
        int(port),
    )


def asked(text: str, *objects: Any) -> Verdict:
    """What the town's own node says of a flow under these objects."""
    return explain(town(*objects), flow(text))


def told(verdict: Verdict) -> str:
    return f"{verdict.egress or '-'} | {verdict.ingress or '-'}"


def _addresses(name: str) -> tuple[Any, ...]:
    return tuple(map(ip_address, ELSEWHERE[name]))
