"""What a node tells the others: one JSON file with its Node object and the Pods on it. Pure.

What comes in is as foreign as any manifest, and is checked like one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from tulle.edges.manifests.fields import FieldError
from tulle.edges.manifests.pod import weight_of
from tulle.edges.manifests.syntax import (
    check_dns_label,
    check_dns_subdomain,
    check_labels,
    parse_address,
    parse_cidr,
)
from tulle.edges.manifests.validate import validate
from tulle.errors import ManifestError, Refused
from tulle.model.kubernetes import (
    WEIGHT_ANNOTATION,
    Container,
    NodeAddress,
    NodeObject,
    NodeSpec,
    NodeStatus,
    ObjectMeta,
    ObjectRef,
    Pod,
    PodCondition,
    PodIP,
    PodSpec,
    PodStatus,
)
from tulle.model.world import IPAddress, IPNetwork, Key, Node, Refusal, Workload

TERMINATING = "tulle.io/Terminating"  # a Pod's condition: it is being ended
INTERNAL, EXTERNAL = "InternalIP", "ExternalIP"
INGRESS = "tulle.io/Ingress"  # a node's address: its proxy's, for clients from outside
_DIGEST_BYTES = 16
ENDED = ("Succeeded", "Failed")


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    node: NodeObject
    pods: tuple[msgspec.Raw, ...] = ()


class _Out(msgspec.Struct, frozen=True):
    node: NodeObject
    pods: list[msgspec.Raw]


@dataclass(frozen=True, slots=True)
class NodeState:
    """What one file says. `made` is by digest what each Pod's bytes gave: it is looked up when the
    file is read anew.
    """

    node: NodeObject
    workloads: Mapping[Key, Workload]
    made: Mapping[bytes, Workload | Refusal | None]
    refusals: tuple[Refusal, ...] = ()
    cluster: str = ""  # another one that the node is of


_decode_file = msgspec.json.Decoder(_File).decode
_decode_pod = msgspec.json.Decoder(Pod).decode


class Encoded:
    """Pods as a file has them, made anew only of workloads that have changed."""

    def __init__(self) -> None:
        self._known: dict[Key, tuple[Workload, str, msgspec.Raw]] = {}

    def of(self, workloads: Iterable[Workload], node: str) -> list[msgspec.Raw]:
        now: dict[Key, tuple[Workload, str, msgspec.Raw]] = {}
        for workload in sorted(workloads, key=lambda workload: workload.key):
            known = self._known.get(workload.key)
            if known is None or known[0] is not workload or known[1] != node:
                raw = msgspec.Raw(msgspec.json.encode(_pod_of(workload, node)))
                known = workload, node, raw
            now[workload.key] = known
        self._known = now
        return [raw for _, _, raw in now.values()]


def encode(
    node: NodeObject, workloads: Iterable[Workload], encoded: Encoded | None = None
) -> bytes:
    """The file's bytes: the same for the same arguments. `encoded` only saves work."""
    pods = (encoded or Encoded()).of(workloads, node.metadata.name)
    return msgspec.json.encode(_Out(node, pods))


def decode(data: bytes, name: str, before: NodeState | None = None) -> NodeState:
    """The file of the node `name`; what has not changed since `before` is the same object.

    A Pod that makes no sense is refused alone. Raises Refused, which names the field.
    """
    try:
        file = _decode_file(data)
        node = validate(file.node)
        assert isinstance(node, NodeObject)
        if node.metadata.name != name:
            raise Refused(f"says that it is of the node {node.metadata.name!r}")
        ranges = world_node(node).pod_cidrs
        if before is not None and node == before.node:
            node = before.node
        known = before.made if before and before.node.spec == node.spec else {}
        made = {
            digest: known[digest]
            if digest in known
            else _workload_or_refusal(_decode_pod(raw), name, ranges)
            for digest, raw in ((_digest(raw), raw) for raw in file.pods)
        }
    except msgspec.MsgspecError as error:
        raise Refused(f"cannot be read: {error}") from error
    except ManifestError as error:
        raise Refused(str(error)) from error
    workloads = {item.key: item for item in made.values() if isinstance(item, Workload)}
    same = before is not None and workloads == before.workloads
    refusals = tuple(item for item in made.values() if isinstance(item, Refusal))
    return NodeState(node, before.workloads if before and same else workloads, made, refusals)


def name_in(data: bytes) -> str:
    """Of which node a file is. Raises Refused."""
    try:
        return _decode_file(data).node.metadata.name
    except msgspec.MsgspecError as error:
        raise Refused(f"cannot be read: {error}") from error


def node_object(node: Node, created: str) -> NodeObject:
    """`created` is an RFC 3339 time. Where the overlay reaches it comes first."""
    addresses = [NodeAddress(str(item), INTERNAL) for item in node.addresses]
    addresses += [NodeAddress(str(item), INGRESS) for item in node.ingress]
    cidrs = tuple(str(item) for item in node.pod_cidrs)
    return NodeObject(
        ObjectMeta(node.name, labels=dict(node.labels), creation_timestamp=created),
        NodeSpec(cidrs[0] if cidrs else "", cidrs),
        status=NodeStatus((*addresses, NodeAddress(node.name, "Hostname"))),
    )


def world_node(node: NodeObject) -> Node:
    """Its `underlay` is left open. Raises ManifestError."""
    texts = node.spec.pod_cidrs or ((node.spec.pod_cidr,) if node.spec.pod_cidr else ())
    cidrs = [parse_cidr(text, "spec", "podCIDRs", place) for place, text in enumerate(texts)]
    return Node(
        name=node.metadata.name,
        addresses=tuple(_addresses_of(node, INTERNAL, EXTERNAL)),
        labels=node.metadata.labels,
        pod_cidrs=tuple(cidrs),
        ingress=tuple(_addresses_of(node, INGRESS)),
    )


def _addresses_of(node: NodeObject, *types: str) -> Iterator[IPAddress]:
    for place, item in enumerate(node.status.addresses):
        if item.type in types:
            yield parse_address(item.address, "status", "addresses", place, "address")


def _pod_of(workload: Workload, node: str) -> Pod:
    weight = {WEIGHT_ANNOTATION: str(workload.weight)} if workload.weight != 1 else {}
    conditions = [PodCondition("Ready", "True" if workload.ready else "False")]
    if workload.terminating:
        conditions.append(PodCondition(TERMINATING, "True"))
    addresses = tuple(PodIP(str(address)) for address in workload.addresses)
    return Pod(
        ObjectMeta(
            workload.name,
            workload.namespace,
            dict(workload.labels),
            weight,
        ),
        PodSpec(
            (Container("workload", ports=workload.ports),),
            node_name=node,
            service_account_name=workload.service_account,
        ),
        status=PodStatus("Running", addresses, tuple(conditions)),
    )


def _workload_or_refusal(
    pod: Pod, node: str, ranges: Sequence[IPNetwork]
) -> Workload | Refusal | None:
    try:
        return _workload_of(pod, node, ranges)
    except FieldError as error:
        ref = ObjectRef("Pod", pod.metadata.namespace, pod.metadata.name)
        return Refusal(ref, f"as node {node} tells of it, {error}: it is cut off")


def _workload_of(pod: Pod, node: str, ranges: Sequence[IPNetwork]) -> Workload | None:
    """None if it has no addresses (yet, or any more). Raises FieldError."""
    meta, status = pod.metadata, pod.status
    check_dns_label(meta.namespace, "metadata", "namespace")
    check_dns_subdomain(meta.name, "metadata", "name")
    check_labels(meta.labels, "metadata", "labels")
    if pod.spec.service_account_name:
        check_dns_subdomain(pod.spec.service_account_name, "spec", "serviceAccountName")
    if pod.spec.node_name != node:
        raise FieldError(f"is not {node!r}", "spec", "nodeName")
    if status.phase in ENDED or not status.pod_ips:
        return None
    conditions = {item.type for item in status.conditions if item.status == "True"}
    return Workload(
        namespace=meta.namespace,
        name=meta.name,
        labels=meta.labels,
        addresses=_addresses(pod, ranges),
        ifindex=0,
        ports=tuple(port for container in pod.spec.containers for port in container.ports),
        weight=weight_of(meta.annotations.get(WEIGHT_ANNOTATION, "1")),
        ready="Ready" in conditions,
        terminating=TERMINATING in conditions,
        service_account=pod.spec.service_account_name or "default",
        node=node,
    )


def _addresses(pod: Pod, ranges: Sequence[IPNetwork]) -> tuple[IPAddress, ...]:
    """A node speaks for its own ranges only: there its Pods are looked for."""
    found = []
    for place, item in enumerate(pod.status.pod_ips):
        address = parse_address(item.ip, "status", "podIPs", place, "ip")
        if not any(address in network for network in ranges):
            raise FieldError("is not in its node's podCIDRs", "status", "podIPs", place, "ip")
        found.append(address)
    return tuple(found)


def _digest(raw: msgspec.Raw) -> bytes:
    return blake2b(bytes(raw), digest_size=_DIGEST_BYTES).digest()
