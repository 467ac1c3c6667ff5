"""Flows as text: one line (`compact`), a paragraph (`dict`) or a line of JSON (`json`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the CLI prints flows without what it takes to make them
    from .flows import FlowDict

Style = Callable[[str, str], str]  # text, colour name → text
FORMATS = ("compact", "dict", "json")

_RULER = "------------"
_COLOURS = {"FORWARDED": "green", "DROPPED": "red", "AUDIT": "yellow", "ERROR": "red"}
_EVENTS = {1: "drop", 4: "trace", 5: "policy-verdict", 7: "sock", 129: "http-response"}


def plain(text: str, colour: str) -> str:
    """The style of what is not a terminal."""
    return text


def writer(form: str, style: Style = plain) -> Callable[[FlowDict], str]:
    """What turns flows into text of that format, one of FORMATS, without the last line break."""
    writers: Mapping[str, Callable[[FlowDict], str]] = {
        "compact": lambda flow: compact(flow, style),
        "dict": lambda flow: as_dict(flow, style),
        "json": as_json,
    }
    return writers[form]


def compact(flow: FlowDict, style: Style = plain) -> str:
    """As `hubble observe -o compact`, with the rule that decided at the end.

    Behind AUDIT stands the rule that would have denied.
    """
    event = f"{_event(flow)} {style(flow['verdict'], _COLOURS[flow['verdict']])}"
    summary = f" ({flow['Summary']})" if flow["Summary"] else ""
    return (
        f"{style(_moment(flow), 'bright_black')}: {_end(flow, 'source', style)}"
        f" -> {_end(flow, 'destination', style)} {event}{summary} {_named(flow)}"
    )


def as_dict(flow: FlowDict, style: Style = plain) -> str:
    """As `hubble observe -o dict`: a key and a value a line, a ruler after each flow."""
    rows = {
        "TIMESTAMP": _moment(flow),
        "NODE": flow["node_name"],
        "SOURCE": _end(flow, "source", style),
        "DESTINATION": _end(flow, "destination", style),
        "SERVICE": _service(flow),
        "TYPE": _event(flow),
        "HOOK": flow["hook"],
        "VERDICT": style(flow["verdict"], _COLOURS[flow["verdict"]]),
        "DROP REASON": flow.get("drop_reason_desc", ""),
        "EGRESS RULE": flow.get("egress_rule", {}).get("rule", ""),
        "INGRESS RULE": flow.get("ingress_rule", {}).get("rule", ""),
        "BACKEND": flow.get("backend", ""),
        "FLAGS": ", ".join(flow.get("flags", ())),
        "AUDIT RULE": flow.get("audit_rule", {}).get("rule", ""),
        "DECIDED BY": flow["rule"],
        "SUMMARY": flow["Summary"],
    }
    lines = [f"{key:>12}: {value}" for key, value in rows.items() if value]
    return "\n".join([*lines, _RULER])


def as_json(flow: FlowDict) -> str:
    """As `hubble observe -o jsonpb`: one GetFlowsResponse a line."""
    response = {"flow": flow, "node_name": flow["node_name"], "time": flow["time"]}
    return json.dumps(response, separators=(",", ":"))


def _named(flow: FlowDict) -> str:
    return str(flow["audit_rule"]["rule"] if flow["verdict"] == "AUDIT" else flow["rule"])


def _moment(flow: FlowDict) -> str:
    """Local time, as Hubble's text has it: `Nov 22 19:33:10.123`."""
    utc = datetime.fromisoformat(flow["time"][:23] + "+00:00")
    return f"{utc.astimezone():%b %d %H:%M:%S}.{flow['time'][20:23]}"


def _event(flow: FlowDict) -> str:
    kind = _EVENTS[flow["event_type"]["type"]]
    if flow["Type"] == "L7" and "l7" not in flow:
        return "connection"
    if "dns" in flow.get("l7", ()):
        return f"dns-{flow['l7']['type'].lower()}"
    return f"{kind}:{flow['traffic_direction']}" if kind == "policy-verdict" else kind


def _end(flow: FlowDict, side: str, style: Style) -> str:
    """`shop/web-1:43512 (ID:257)`, or the address, or what is known of its identity."""
    end, address = flow[side], flow.get("IP", {}).get(side, "")
    name = f"{end['namespace']}/{end['pod_name']}" if "pod_name" in end else address
    if side == "destination" and not end.get("pod_name") and _service(flow):
        name = _service(flow)
    if name == address and flow.get(f"{side}_names"):
        name = ",".join(flow[f"{side}_names"])
    ports = [layer.get(f"{side}_port") for layer in flow.get("l4", {}).values()]
    port = f":{ports[0]}" if ports and ports[0] else ""
    if port and ":" in name:
        name = f"[{name}]"
    return f"{style(name or 'unknown', 'cyan')}{port}{_identity(end)}"


def _identity(end: FlowDict) -> str:
    if "pod_name" not in end:
        reserved = [item for item in end.get("labels", ()) if item.startswith("reserved:")]
        if reserved:
            return f" ({reserved[0].removeprefix('reserved:')})"
    return f" (ID:{end['identity']})" if "identity" in end else ""


def _service(flow: FlowDict) -> str:
    service = flow.get("destination_service")
    return f"{service['namespace']}/{service['name']}" if service else ""
