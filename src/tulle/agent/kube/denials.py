"""Denied flows → what is told of them as Events: of each pair and rule one, with how often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tulle.abi import Event, Reason
from tulle.agent.flowlog import FlowLog, Record
from tulle.model.kubernetes import ObjectRef
from tulle.observe.flows import FlowDict, flow_of
from tulle.observe.names import Names

from .events import Happening, Recorder

PERIOD_S = 1.0
_LOOKED_AT = 4096  # of a flood only the newest: they tell the same
_TABLE = 1024

_Key = tuple[object, ...]


@dataclass(slots=True)
class Denials:
    """Counted cheaply; named once a period."""

    _found: dict[_Key, tuple[Event, int]] = field(default_factory=dict)

    def add(self, records: Iterable[Record]) -> None:
        for record in records:
            if not isinstance(record, bytes):
                continue
            event = Event.unpack(record)
            if event.verdict.reason == Reason.POLICY_DENIED and not event.flow.icmp_error:
                key = _key(event)
                first, count = self._found.get(key, (event, 0))
                if count or len(self._found) < _TABLE:
                    self._found[key] = (first, count + 1)

    def take(self, names: Names) -> list[tuple[Happening, int]]:
        """What happened since the last call to pods that have a name, and how often."""
        found, self._found = self._found, {}
        told = ((happening_of(flow_of(event, names)), count) for event, count in found.values())
        return [(happening, count) for happening, count in told if happening]


def _key(event: Event) -> _Key:
    """Without the client's port: it is another for each try."""
    flow, verdict = event.flow, event.verdict
    rules = (verdict.egress_rule, verdict.ingress_rule)
    return flow.src, flow.dst, flow.dport, flow.proto, flow.hook, rules


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
    note = f"from {peer} to {port or 'it'}" if inward else f"to {peer}{port and f' {port}'}"
    rule = flow["rule"]
    if inward:
        return Happening(ref, "IngressDenied", "Deny", f"denied {note}: {rule}")
    return Happening(ref, "EgressDenied", "Deny", f"denied {note}: {rule}")


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
