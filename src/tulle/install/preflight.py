"""Whether a cluster can take Tulle: what must not be installed over is refused by name. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from tulle import __version__
from tulle.edges.kubernetes.discovery import Discovered

OLDEST_KERNEL = (6, 6)
OLDEST_SERVER = 20
_MACHINES = ("amd64", "arm64")
_KUBE_PROXY = "kube-proxy"
# Wires pods, by the name of its DaemonSet.
_WIRING = {
    "antrea-agent": "Antrea",
    "aws-node": "the AWS VPC CNI",
    "azure-cns": "Azure's CNI",
    "calico-node": "Calico",
    "canal": "Canal",
    "kindnet": "kindnet",
    "kube-flannel": "Flannel",
    "kube-flannel-ds": "Flannel",
    "kube-router": "kube-router",
    "weave-net": "Weave Net",
}
_POLICING = {"Antrea", "Calico", "Canal", "kube-router", "Weave Net"}
# Judges packets and balances Services as Tulle does: the two cannot share a node.
_RIVALS = {"cilium": "Cilium"}

Level = Literal["refused", "note"]


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    subject: str
    reason: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.reason}"


class _Meta(msgspec.Struct):
    name: str


class _Info(msgspec.Struct, rename="camel"):
    kernel_version: str = ""
    architecture: str = ""
    operating_system: str = ""


class _Status(msgspec.Struct, rename="camel"):
    node_info: _Info = msgspec.field(default_factory=_Info)


class _Spec(msgspec.Struct):
    pod_cidr: str = msgspec.field(name="podCIDR", default="")


class NodeFacts(msgspec.Struct):
    """What is read of a Node."""

    metadata: _Meta
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


class NodeList(msgspec.Struct):
    items: list[NodeFacts]


class _Named(msgspec.Struct):
    metadata: _Meta


class NameList(msgspec.Struct):
    items: list[_Named]


@dataclass(frozen=True, slots=True)
class Facts:
    discovered: Discovered
    nodes: Sequence[NodeFacts]
    daemons: frozenset[str]  # names of all DaemonSets
    before: str = ""  # the version that is installed


def findings(facts: Facts, values: Mapping[str, Any]) -> list[Finding]:
    """What is refused comes first."""
    parts = (
        _server(facts.discovered),
        _nodes(facts.nodes, chained=values["cni.chained"]),
        _chained(facts.daemons, values),
        _others(facts.daemons, values),
        _version(facts.before),
    )
    found = [finding for part in parts for finding in part]
    return sorted(found, key=lambda finding: finding.level == "note")


def _server(discovered: Discovered) -> Iterator[Finding]:
    if discovered.minor < OLDEST_SERVER:
        reason = f"Tulle is written for Kubernetes 1.{OLDEST_SERVER} or newer"
        yield Finding("refused", f"API server {discovered.server}", reason)
    slices = [f"discovery.k8s.io/{version}" for version in ("v1", "v1beta1")]
    if discovered.choose("EndpointSlice", slices) is None:
        reason = "are not served: without them no Service has backends"
        yield Finding("refused", "EndpointSlices", reason)
    gateways = [f"gateway.networking.k8s.io/{version}" for version in ("v1", "v1beta1")]
    if discovered.choose("Gateway", gateways) is None:
        reason = "is not installed: Gateways and routes are read once its definitions are there"
        yield Finding("note", "Gateway API", reason)


def _nodes(nodes: Sequence[NodeFacts], *, chained: bool) -> Iterator[Finding]:
    if not nodes:
        yield Finding("note", "nodes", "there are none yet")
    for node in nodes:
        info, name = node.status.node_info, f"node {node.metadata.name}"
        if info.operating_system not in ("", "linux"):
            yield Finding("note", name, f"runs {info.operating_system}: it is left alone")
            continue
        if (kernel := _numbers(info.kernel_version)) and kernel < OLDEST_KERNEL:
            oldest = ".".join(map(str, OLDEST_KERNEL))
            yield Finding("refused", name, f"Linux {info.kernel_version}; {oldest} is needed")
        if info.architecture not in ("", *_MACHINES):
            reason = f"{info.architecture}: the image is for {' and '.join(_MACHINES)}"
            yield Finding("refused", name, reason)
        if not chained and not node.spec.pod_cidr:
            reason = "has no podCIDR: start kube-controller-manager with --allocate-node-cidrs"
            yield Finding("refused", name, reason)


def _chained(daemons: Iterable[str], values: Mapping[str, Any]) -> Iterator[Finding]:
    if values["cni.chained"] and not _WIRING.keys() & set(daemons):
        reason = "no plugin is known here that wires pods: one has to, on every node"
        yield Finding("note", "cni.chained", reason)


def _others(daemons: Iterable[str], values: Mapping[str, Any]) -> Iterator[Finding]:
    for daemon in sorted(daemons):
        if rival := _RIVALS.get(daemon):
            reason = f"{rival} and Tulle cannot share nodes: see docs/migration.md"
            yield Finding("refused", f"DaemonSet {daemon}", reason)
        wiring = _WIRING.get(daemon)
        if wiring and not values["cni.chained"]:
            reason = f"{wiring} wires pods, which Tulle does itself: remove it first, or let Tulle "
            reason += "come after it with --set cni.chained=true"
            yield Finding("refused", f"DaemonSet {daemon}", reason)
        elif wiring and wiring in _POLICING:
            reason = f"{wiring} judges packets of the same pods: turn its policies off"
            yield Finding("note", f"DaemonSet {daemon}", reason)
    if _KUBE_PROXY in daemons:
        reason = "is passed by, as Services are balanced before; it can be removed afterwards"
        yield Finding("note", f"DaemonSet {_KUBE_PROXY}", reason)
    elif not values["apiServer"]:
        reason = "has to be said where no kube-proxy runs: --set apiServer=https://HOST:PORT"
        yield Finding("refused", "apiServer", reason)


def _version(before: str) -> Iterator[Finding]:
    if before and _numbers(before) > _numbers(__version__):
        reason = f"is installed, and newer than {__version__}: `tulle upgrade --rollback` goes back"
        yield Finding("refused", f"version {before}", reason)


def _numbers(version: str) -> tuple[int, ...]:
    """
    >>> _numbers("6.12.3-cloud"), _numbers("")
    ((6, 12), ())
    """
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else ()
