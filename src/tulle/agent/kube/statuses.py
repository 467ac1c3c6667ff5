"""What the API's objects are to have as their status, from what is in force. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from tulle.compile.routes.conditions import Verdict, conditions
from tulle.edges.manifests.directory import Snapshot
from tulle.model.hosts import MeshNode
from tulle.model.kinds import KubernetesObject
from tulle.model.kubernetes import ObjectRef, Service
from tulle.model.world import Key, Refusal

from .exporting import of_clusterset

Json = dict[str, Any]

# What controllers share of each kind: where nothing is ours, entries from before have to go.
_SHARED = {
    "HTTPRoute": "parents",
    "GRPCRoute": "parents",
    "TLSRoute": "parents",
    "TCPRoute": "parents",
    "UDPRoute": "parents",
    "BackendTLSPolicy": "ancestors",
    "BackendTrafficPolicy": "ancestors",
    "XBackendTrafficPolicy": "ancestors",
    "RateLimitPolicy": "ancestors",
    "FaultInjectionPolicy": "ancestors",
    "AuthPolicy": "ancestors",
}
# Others have no status (NetworkPolicy): what is wrong with one is told by an Event.
_POLICIES = ("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "ClusterNetworkPolicy")
_MESSAGE_BYTES = 4096  # a condition's message takes 32 KiB; nobody reads more
_VALID, _ACCEPTED = Verdict(True, "Valid"), Verdict(True, "Accepted")
_RENEWED = Verdict(True, "LeaseRenewed")
_EXPIRED = Verdict(False, "LeaseExpired", "its agent does not renew its Lease")


class Told(NamedTuple):
    """`uid` is that of the object that it is said of; "" if that was refused, so not known."""

    uid: str
    status: Json


def statuses(
    snapshot: Snapshot,
    status: Mapping[ObjectRef, Json],
    services: Mapping[Key, Service],
    refusals: Sequence[Refusal],
    hosts: Mapping[str, bool | None],
) -> dict[ObjectRef, Told]:
    """`status` is a Routing's, `services` have their addresses, `hosts` are there or not; only of
    objects that the API has.

    What nothing changed is the same object as it was given.
    """
    said = _said(snapshot, status, services, refusals) | dict(_hosts(snapshot, refusals, hosts))
    return {ref: Told(_uid(snapshot.get(ref)), item) for ref, item in said.items()}


def _uid(obj: KubernetesObject | None) -> str:
    return obj.metadata.uid if obj else ""


def _said(
    snapshot: Snapshot,
    status: Mapping[ObjectRef, Json],
    services: Mapping[Key, Service],
    refusals: Sequence[Refusal],
) -> dict[ObjectRef, Json]:
    found = {ref: said for ref, said in status.items() if snapshot.get(ref) is not None}
    for kind, part in _SHARED.items():
        for ref in _refs(kind, snapshot):
            if ref not in found:
                found[ref] = _NO_ENTRIES[part]
    for ref in _refs("Ingress", snapshot):
        if ref not in found:
            found[ref] = _NO_ADDRESSES
    found.update(_addresses(snapshot, services))
    found.update(_valid(snapshot, refusals))
    found.update(of_clusterset(snapshot, services))
    return found


_NO_ADDRESSES: Json = {"loadBalancer": {"ingress": []}}
_NO_ENTRIES: Mapping[str, Json] = {part: {part: []} for part in ("parents", "ancestors")}


def _refs(kind: str, snapshot: Snapshot) -> Iterator[ObjectRef]:
    for name in snapshot.kinds.get(kind, {}):
        yield ObjectRef(kind, *(("", name) if isinstance(name, str) else name))


def _addresses(
    snapshot: Snapshot, services: Mapping[Key, Service]
) -> Iterator[tuple[ObjectRef, Json]]:
    """Of Services that were given other addresses than the API knows of, or none."""
    for key, had in snapshot.of(Service).items():
        given = services.get(key, had)
        if given.spec.type != "LoadBalancer":
            if had.status.load_balancer.ingress:
                yield ObjectRef("Service", *key), _NO_ADDRESSES
        elif given.status != had.status:
            ingress = [msgspec.to_builtins(item) for item in given.status.load_balancer.ingress]
            yield ObjectRef("Service", *key), {"loadBalancer": {"ingress": ingress}}


def _valid(snapshot: Snapshot, refusals: Sequence[Refusal]) -> Iterator[tuple[ObjectRef, Json]]:
    """The condition Valid: whether all that a policy says is in force."""
    problems: dict[ObjectRef, list[str]] = defaultdict(list)
    for refusal in refusals:
        if refusal.ref.kind in _POLICIES:
            problems[refusal.ref].append(refusal.reason)
    for kind in _POLICIES:
        for ref in _refs(kind, snapshot):
            if ref not in problems:
                obj = snapshot.get(ref)
                yield ref, _all_valid(obj.metadata.generation if obj else 0)
    for ref, reasons in problems.items():
        yield ref, _not_all_valid(snapshot.get(ref), reasons)


def _hosts(
    snapshot: Snapshot, refusals: Sequence[Refusal], ready: Mapping[str, bool | None]
) -> Iterator[tuple[ObjectRef, Json]]:
    for name, host in snapshot.named(MeshNode).items():
        is_ready = ready.get(name)
        if is_ready is None:  # what an earlier one said holds
            continue
        refs = (ObjectRef("Node", "", name), ObjectRef("MeshNode", "", name))
        reasons = "; ".join(item.reason for item in refusals if item.ref in refs)
        accepted = Verdict(False, "Refused", reasons[:_MESSAGE_BYTES]) if reasons else _ACCEPTED
        said = conditions(
            host.metadata.generation,
            Accepted=accepted,
            Ready=_RENEWED if is_ready else _EXPIRED,
        )
        yield refs[1], {"conditions": said}


@lru_cache(1024)
def _all_valid(generation: int) -> Json:
    return {"conditions": conditions(generation, Valid=_VALID)}


def _not_all_valid(obj: KubernetesObject | None, reasons: Iterable[str]) -> Json:
    message = "; ".join(dict.fromkeys(reasons))[:_MESSAGE_BYTES]
    verdict = Verdict(False, "PartlyInForce" if obj else "Invalid", message)
    said = conditions(obj.metadata.generation if obj else 0, Valid=verdict)
    if obj is None:  # which generation it was that was refused is not known
        del said[0]["observedGeneration"]
    return {"conditions": said}
