"""Which flows to show: `hubble observe`'s filters, from query parameters to one predicate.

Values of one filter are alternatives; all filters given must hold. `pod`, `ip`, `port`,
`namespace`, `label` and `fqdn` ask about either end, their `from-` and `to-` forms about one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

from tulle.abi import Reason
from tulle.errors import UsageError

from .flows import FlowDict, timestamp
from .reasons import HUBBLE
from .requests import path_of

Predicate = Callable[[FlowDict], bool]

_SOURCE, _DESTINATION = ("source",), ("destination",)
_SIDES = {"": _SOURCE + _DESTINATION, "from-": _SOURCE, "to-": _DESTINATION}
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_VERDICTS = ("FORWARDED", "DROPPED", "AUDIT", "ERROR")
_PROTOCOLS = {
    "tcp": ("TCP",),
    "udp": ("UDP",),
    "sctp": ("SCTP",),
    "icmp": ("ICMPv4", "ICMPv6"),
    "icmpv4": ("ICMPv4",),
    "icmpv6": ("ICMPv6",),
}
_STATUS = re.compile(r"[1-5][0-9]{2}|[1-5][0-9]?\+")  # Hubble's
_DROP_REASONS = frozenset(HUBBLE.values()) | {item.name for item in Reason if item in HUBBLE}


@dataclass(frozen=True, slots=True)
class Query:
    """What a user asked to see. `first` and `last` count flows that match; None is all."""

    matches: Predicate
    first: int | None = None
    last: int | None = None
    follow: bool = False


def parse(params: Iterable[tuple[str, str]], now_ns: int) -> Query:
    """Query parameters, as in `?from-pod=shop/web&verdict=DROPPED&last=20`, to a query.

    `now_ns` is CLOCK_REALTIME, which `since=5m` counts from. Raises UsageError.
    """
    given: dict[str, list[str]] = {}
    for name, value in params:
        given.setdefault(name, []).append(value)
    first = _count(given.pop("first", []), "first")
    last = _count(given.pop("last", []), "last")
    if first is not None and last is not None:
        raise UsageError("first and last exclude each other")
    follow = given.pop("follow", ["0"])[-1] in ("1", "true")
    checks = [_filter(name, values, now_ns) for name, values in given.items()]
    return Query(lambda flow: all(check(flow) for check in checks), first, last, follow)


def _count(values: list[str], name: str) -> int | None:
    return _integer(values[-1], name, 1, 1 << 31) if values else None


def _integer(text: str, name: str, low: int, high: int) -> int:
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise UsageError(f"{name} {text!r}: must be a number from {low} to {high}")
    return int(text)


def _filter(name: str, values: list[str], now_ns: int) -> Predicate:
    if name == "since":
        begin = max(_since(value, now_ns) for value in values)
        return lambda flow: bool(flow["time"] >= begin)
    if name in _WHOLE:
        alternatives = [_WHOLE[name](value) for value in values]
        return lambda flow: any(check(flow) for check in alternatives)
    for prefix, sides in _SIDES.items():
        kind = name.removeprefix(prefix)
        if kind in _ENDS and name.startswith(prefix):
            ends = [_ENDS[kind](value) for value in values]
            return lambda flow: any(check(flow, side) for side in sides for check in ends)
    raise UsageError(f"no filter is called {name!r}")


# --- filters on the flow as a whole ---


def _since(text: str, now_ns: int) -> str:
    relative = re.fullmatch(r"(\d{1,9})([smhd]?)", text, re.ASCII)
    if relative:
        return timestamp(max(0, now_ns - int(relative[1]) * _SECONDS[relative[2]] * 10**9))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"since {text!r}: must be like 30s, 5m, 2h or an RFC 3339 time") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return timestamp(round(moment.timestamp() * 1_000_000) * 1000)


def _verdict(text: str) -> Predicate:
    wanted = text.upper()
    if wanted not in _VERDICTS:
        raise UsageError(f"verdict {text!r}: must be one of {', '.join(_VERDICTS)}")
    return lambda flow: bool(flow["verdict"] == wanted)


def _protocol(text: str) -> Predicate:
    if text.lower() in ("http", "dns"):
        return lambda flow: text.lower() in flow.get("l7", ())
    wanted = _PROTOCOLS.get(text.lower())
    if wanted is None:
        raise UsageError(f"protocol {text!r}: must be one of {', '.join(_PROTOCOLS)}, dns, http")
    return lambda flow: any(name in flow.get("l4", ()) for name in wanted)


def _drop_reason(text: str) -> Predicate:
    wanted = text.upper()
    if wanted not in _DROP_REASONS:
        raise UsageError(f"drop-reason {text!r}: must be one of {', '.join(sorted(_DROP_REASONS))}")
    return lambda flow: wanted in (flow.get("drop_reason_desc"), flow["reason"])


# --- filters on a request ---


def _http(flow: FlowDict) -> FlowDict:
    found: FlowDict = flow.get("l7", {}).get("http", {})
    return found


def _http_status(text: str) -> Predicate:
    if not _STATUS.fullmatch(text):
        raise UsageError(f"http-status {text!r}: must be like 404, 40+ or 5+")
    prefix = text.removesuffix("+")
    return lambda flow: str(_http(flow).get("code", "")).startswith(prefix)


def _http_method(text: str) -> Predicate:
    wanted = text.upper()
    return lambda flow: str(_http(flow).get("method", "")).upper() == wanted


def _http_path(text: str) -> Predicate:
    """A regular expression for a part of the path, without the query."""
    try:
        wanted = re.compile(text)
    except re.error as error:
        raise UsageError(f"http-path {text!r}: {error}") from None
    return lambda flow: bool(_http(flow)) and wanted.search(path_of(flow)) is not None


def _dns_query(text: str) -> Predicate:
    """A regular expression for a part of the name, which ends in a dot."""
    try:
        wanted = re.compile(text)
    except re.error as error:
        raise UsageError(f"dns-query {text!r}: {error}") from None
    return lambda flow: bool(wanted.search(flow.get("l7", {}).get("dns", {}).get("query", "\n")))


# --- filters on one end, `source` or `destination` ---

EndPredicate = Callable[[FlowDict, str], bool]


def _pod(text: str) -> EndPredicate:
    namespace, slash, prefix = text.partition("/")
    if not slash:  # as Hubble has it
        namespace, prefix = "default", text

    def check(flow: FlowDict, side: str) -> bool:
        end = flow[side]
        same = end.get("namespace") == namespace
        return same and str(end.get("pod_name", "")).startswith(prefix)

    return check


def _namespace(text: str) -> EndPredicate:
    return lambda flow, side: flow[side].get("namespace") == text


def _ip(text: str) -> EndPredicate:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise UsageError(f"ip {text!r}: must be an address or a CIDR") from None
    if network.num_addresses == 1:
        wanted = str(network.network_address)
        return lambda flow, side: flow.get("IP", {}).get(side) == wanted

    def within(flow: FlowDict, side: str) -> bool:
        address = flow.get("IP", {}).get(side)
        return bool(address) and ip_address(address) in network

    return within


def _fqdn(text: str) -> EndPredicate:
    """A name in which `*` is anything."""
    if not re.fullmatch(r"[-a-zA-Z0-9_.*]+", text):  # Hubble's
        raise UsageError(f"fqdn {text!r}: must be a name, in which * is anything")
    wanted = re.compile(re.escape(text.lower().removesuffix(".")).replace(r"\*", ".*"))
    return lambda flow, side: any(map(wanted.fullmatch, flow.get(f"{side}_names", ())))


def _port(text: str) -> EndPredicate:
    wanted = _integer(text, "port", 1, 65535)

    def check(flow: FlowDict, side: str) -> bool:
        key = f"{side}_port"
        return any(layer.get(key) == wanted for layer in flow.get("l4", {}).values())

    return check


def _label(text: str) -> EndPredicate:
    wanted = text.removeprefix("k8s:")
    if "=" in wanted:
        accepted = {wanted, f"k8s:{wanted}"}
        return lambda flow, side: not accepted.isdisjoint(flow[side].get("labels", ()))
    starts = (f"{wanted}=", f"k8s:{wanted}=")

    def has_key(flow: FlowDict, side: str) -> bool:
        labels = flow[side].get("labels", ())
        return any(item.startswith(starts) or item == wanted for item in labels)

    return has_key


_WHOLE: dict[str, Callable[[str], Predicate]] = {
    "verdict": _verdict,
    "protocol": _protocol,
    "drop-reason": _drop_reason,
    "http-status": _http_status,
    "http-method": _http_method,
    "http-path": _http_path,
    "dns-query": _dns_query,
}
_ENDS: dict[str, Callable[[str], EndPredicate]] = {
    "pod": _pod,
    "namespace": _namespace,
    "ip": _ip,
    "fqdn": _fqdn,
    "port": _port,
    "label": _label,
}
