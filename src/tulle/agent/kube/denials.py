"""Denied flows → what is told of them as Events: of each pair and rule one, with how often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tulle.abi import Event, Reason
from tulle.agent.flowlog import FlowLog, Record
from tulle.model.access import Access
from tulle.model.kubernetes import ObjectRef
from tulle.observe.flows import FlowDict, flow_of
from tulle.observe.names import Names
from tulle.observe.questions import Asked
from tulle.observe.requests import request_flow

from .events import Happening, Recorder

PERIOD_S = 1.0
_LOOKED_AT = 4096  # of a flood only the newest: they tell the same
_REQUESTS = 512  # of these, as each takes longer
_TABLE = 1024

_Key = tuple[object, ...]


@dataclass(slots=True)
class Denials:
    """Counted cheaply; named once a period."""

    _found: dict[_Key, tuple[Event | Access, int]] = field(default_factory=dict)

    def add(self, records: Iterable[Record]) -> None:
        requests = 0
        for record in records:
            if isinstance(record, bytes):
                self._packet(Event.unpack(record))
            elif isinstance(record, Asked):
                continue  # what was refused is told of as a packet, too
            elif (requests := requests + 1) <= _REQUESTS:
                self._request(record.access())

    def _packet(self, event: Event) -> None:
        flow, verdict = event.flow, event.verdict
        if verdict.reason == Reason.POLICY_DENIED and not flow.icmp_error:
            rules = (verdict.egress_rule, verdict.ingress_rule)
            self._count((flow.src, flow.dst, flow.dport, flow.proto, flow.hook, rules), event)

    def _request(self, access: Access) -> None:
        if access.denied_by:
            target = access.backend or access.asked
            self._count((access.source.address, target, access.front, access.denied_by), access)

    def _count(self, key: _Key, told: Event | Access) -> None:
        """By a key without the client's port: it is another for each try."""
        first, count = self._found.get(key, (told, 0))
        if count or len(self._found) < _TABLE:
            self._found[key] = (first, count + 1)

    def take(self, names: Names) -> list[tuple[Happening, int]]:
        """What happened since the last call to pods that have a name, and how often."""
        found, self._found = self._found, {}
        told = ((_happening(first, names), count) for first, count in found.values())
        return [(happening, count) for happening, count in told if happening]


def _happening(told: Event | Access, names: Names) -> Happening | None:
    if isinstance(told, Event):
        return happening_of(flow_of(told, names))
    return happening_of(request_flow(told, names) | {"rule": told.denied_by})


def happening_of(flow: FlowDict) -> Happening | None:
    """About the pod whose rule it was; None if it is none."""
    inward = flow["traffic_direction"] == "INGRESS"
    own, other = flow["source"], flow["destination"]
    if inward:
        own, other = other, own
    if not own.get("pod_name"):
        return None
    ref = ObjectRef("Pod", own["namespace"], own["pod_name"])
    peer = _peer(other, flow.get("IP", {}).get("source" if inward else "destination", ""))
    port = _port(flow)
    where = f"from {peer} to {port or 'it'}" if inward else f"to {peer}{port and f' {port}'}"
    what = "requests " if "l7" in flow else ""
    reason = "IngressDenied" if inward else "EgressDenied"
    return Happening(ref, reason, "Deny", f"denied {what}{where}: {flow['rule']}")


def _peer(end: FlowDict, address: str) -> str:
    if end.get("pod_name"):
        return f"{end['namespace']}/{end['pod_name']}"
    return address or "an unknown peer"


def _port(flow: FlowDict) -> str:
    """`80/TCP`; "" if the packet has none."""
    for protocol, layer in flow.get("l4", {}).items():
        number = layer.get("destination_port")
        return f"{number}/{protocol}" if number else protocol
    return ""


async def watch(recorder: Recorder, flows: FlowLog, names: Callable[[], Names]) -> None:
    """Until cancelled."""
    denials, seen = Denials(), flows.end
    while True:
        await asyncio.sleep(PERIOD_S)
        fresh = flows.since(seen, _LOOKED_AT)
        seen = flows.end
        if fresh:
            denials.add(fresh)
            for happening, count in denials.take(names()):
                recorder.tell(happening, count)
