"""Entries of the proxy's access log → flows, as JSON values in the words of Hubble's flow.proto.

One flow a request, when it has been answered; its source is the client, its destination the backend
that answered at last, or what was asked if none did. Where the kernel tells of it the latency is to
the answer's first byte, and a connection that it cannot read into is told of once, by `l7.protocol`
and `l7.tls`. Added to Hubble's words, beside those that
`flows` adds: `route`, `backend`, `front` (the proxy's listener), `attempts` and `flags` (Envoy's).
Its verdict is DROPPED if a rule of the user's refused the request, ERROR if no backend answered it.
"""

from __future__ import annotations

from tulle.model.access import Access, Opening, Request, Socket
from tulle.model.kubernetes import ObjectRef

from .flows import FlowDict, endpoint, timestamp
from .names import Names

EVENT_ACCESS_LOG = 129  # Cilium's monitor/api MessageTypeAccessLog

# Envoy's response flags (its access log documentation), of those that say that no backend answered
FAILURES = {
    "UH": "no backend is ready",
    "UF": "the connection to the backend failed",
    "UO": "the backend has its limit of connections or requests",
    "NR": "no route matches",
    "NC": "its backend is not configured",
    "UR": "the backend reset the request",
    "UC": "the backend closed the connection",
    "UT": "the backend did not answer in time",
    "UPE": "the backend's answer is no HTTP",
    "UMSDR": "it took longer than the route's timeout",
    "DPE": "the request is no HTTP",
    "SI": "nothing came for too long",
    "OM": "the proxy is short of memory",
    "DF": "the backend's name does not resolve",
    "FI": "aborted on purpose",
}
REFUSALS = {
    "RL": "limited: too many requests",
    "UAEX": "refused by the external authorization",
}
# Of Envoy's response code details, as it has no flag for that; in braces what is wrong with it.
_JWT_REFUSED = "jwt_authn_access_denied{"
_AUTHORIZATION_FAILED = "ext_authz_error"  # of the details: it is not there, late, or broken
_SLASHES = 3  # in `Rule.id` of model.routing
POLICIES = ("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy")
_FROM_OUTSIDE = ("gateway/", "ingress/")  # names of fronts
NOTHING_MATCHES = "no route matches"
NOBODY_READS = "no rule reads it"
DIRECT_RESPONSE = "direct_response"  # of Envoy's response code details: as the route says


def request_flow(access: Access, names: Names) -> FlowDict:
    verdict, reason = _verdict(access)
    target = access.backend or access.asked
    flow: FlowDict = {"time": timestamp(access.time_ns), "verdict": verdict}
    if verdict == "DROPPED":
        flow["drop_reason_desc"] = "POLICY_DENIED"
    flow |= {
        "IP": {
            "source": str(access.source.address),
            "destination": str(target.address),
            "ipVersion": f"IPv{target.address.version}",
        },
        "l4": {"TCP": {"source_port": access.source.port, "destination_port": target.port}},
        "source": endpoint(access.source.address, 0, names),
        "destination": endpoint(target.address, 0, names),
    }
    service = names.service_addresses.get(access.asked.address)
    if service:
        flow["destination_service"] = {"name": service.name, "namespace": service.namespace}
    if access.request:
        flow["l7"] = _l7(access, access.request)
    elif access.opening:
        flow["l7"] = _opening(access.opening)
    return flow | _told(access, names, verdict, reason)


def _told(access: Access, names: Names, verdict: str, reason: str) -> FlowDict:
    rule = rule_text(access.rule)
    told: FlowDict = {
        "Type": "L7",
        "node_name": names.node,
        "event_type": {"type": EVENT_ACCESS_LOG},
        "traffic_direction": _direction(access),
        "hook": _hook(access),
        "reason": _reason(access),
        "rule": ": ".join(filter(None, (rule, reason))) or _no_rule(access),
        "front": access.front,
        "attempts": access.attempts,
        "Summary": _summary(access),
    }
    if access.rule.count("/") >= _SLASHES:
        kind, namespace, name, _ = access.rule.split("/", _SLASHES)
        told["policy" if kind in POLICIES else "route"] = {
            "kind": kind,
            "namespace": namespace,
            "name": name,
        }
    if access.audited_by:
        told["audit_rule"] = {"rule": access.audited_by}
    if access.backend:
        told["backend"] = _backend(access.backend, names)
    if access.flags:
        told["flags"] = list(access.flags)
    return told


def _hook(access: Access) -> str:
    if not access.kernel:
        return "proxy"
    return "stream" if access.front.startswith("policy/") else "packet"


def _no_rule(access: Access) -> str:
    if not access.kernel:
        return NOTHING_MATCHES
    return ": ".join(filter(None, (NOBODY_READS, access.details)))


def _reason(access: Access) -> str:
    if access.denied_by:
        return "POLICY_DENIED"
    return "ALLOWED" if access.kernel else "PROXIED"


def _direction(access: Access) -> str:
    """A policy's listener is at the end that the policy selects, and the kernel at the server's."""
    if access.kernel:
        return "INGRESS"
    if access.front.startswith("policy/"):
        told = access.rule or access.denied_by or access.audited_by
        return "EGRESS" if "egress[" in told else "INGRESS"
    return "INGRESS" if access.front.startswith(_FROM_OUTSIDE) else "EGRESS"


def rule_text(number: str) -> str:
    """
    >>> rule_text("HTTPRoute/shop/web/0"), rule_text("GRPCRoute/shop/web/canary")
    ('HTTPRoute shop/web rules[0]', 'GRPCRoute shop/web rules[canary]')
    >>> rule_text("CiliumNetworkPolicy/shop/web/ingress[0].toPorts[0].rules.http[1]")
    'CiliumNetworkPolicy shop/web ingress[0].toPorts[0].rules.http[1]'
    >>> rule_text("misdirected")  # the proxy's own
    'misdirected'
    """
    if number.count("/") < _SLASHES:
        return number
    kind, namespace, name, rule = number.split("/", _SLASHES)
    if kind in POLICIES:
        return f"{ObjectRef(kind, namespace, name)} {rule}"
    return f"{kind} {namespace}/{name} rules[{rule}]"


def _verdict(access: Access) -> tuple[str, str]:
    """And why it was not simply forwarded."""
    if access.denied_by:
        return "DROPPED", f"denied by {access.denied_by}"
    if access.details == _AUTHORIZATION_FAILED:
        return "DROPPED", "the external authorization could not be asked"
    for flag in access.flags:
        if flag in REFUSALS:
            return "DROPPED", REFUSALS[flag]
    if access.details.startswith(_JWT_REFUSED):
        wrong = access.details.removeprefix(_JWT_REFUSED).rstrip("}").replace("_", " ")
        return "DROPPED", f"refused for its token: {wrong}"
    for flag in access.flags:
        if flag in FAILURES:
            return "ERROR", FAILURES[flag]
    if access.details == DIRECT_RESPONSE and access.status >= 500:
        return "ERROR", "the rule has no backend that it could reach"
    return ("AUDIT" if access.audited_by else "FORWARDED"), ""


def _l7(access: Access, request: Request) -> FlowDict:
    """Protobuf's JSON has 64-bit numbers as text."""
    http: FlowDict = {
        "method": request.method,
        "url": url_of(request),
        "protocol": request.protocol,
    }
    if not access.status:
        return {"type": "REQUEST", "http": http}
    http = {"code": access.status, **http}
    if access.grpc_status is not None:
        http["headers"] = [{"key": "grpc-status", "value": str(access.grpc_status)}]
    return {"type": "RESPONSE", "latency_ns": str(access.duration_ns), "http": http}


def _opening(opening: Opening) -> FlowDict:
    said: FlowDict = {"type": "REQUEST", "protocol": opening.protocol}
    if opening.protocol == "TLS":
        said["tls"] = {"server_name": opening.server_name, "alpn": list(opening.alpn)}
    return said


def url_of(request: Request) -> str:
    return f"{request.scheme}://{request.authority}{request.path}"


def path_of(flow: FlowDict) -> str:
    """Of the request that a flow tells of, without its query. Its host is whatever a client wrote.

    >>> path_of({"l7": {"http": {"url": "http://[/cart?id=1"}}})
    '/cart'
    """
    url: str = flow["l7"]["http"]["url"]
    _, slash, path = url.partition("://")[2].partition("/")
    return slash + path.partition("?")[0]


def _backend(socket: Socket, names: Names) -> str:
    workload = names.workloads.get(socket.address)
    address = f"[{socket.address}]" if socket.address.version == 6 else str(socket.address)
    return f"{workload or address}:{socket.port}"


def _summary(access: Access) -> str:
    """As Hubble's text has it: `HTTP/1.1 200 3ms (GET http://web/)`."""
    request, took_ms = access.request, access.duration_ns // 1_000_000
    if access.opening:
        return _opening_summary(access.opening)
    if request is None:
        return f"{took_ms}ms, {access.bytes_in} bytes in, {access.bytes_out} out"
    asked = f"{request.method} {url_of(request)}"
    if access.kernel and not access.status:
        return f"{request.protocol} request ({asked})"
    took = f" {access.duration_ns / 1e6:.2f}ms" if access.kernel else f" {took_ms}ms"
    if access.kernel and access.denied_by:
        took = ""
    grpc = "" if access.grpc_status is None else f" gRPC {access.grpc_status}"
    return f"{request.protocol} {access.status}{grpc}{took} ({asked})"


def _opening_summary(opening: Opening) -> str:
    """
    >>> _opening_summary(Opening("TLS", "web.shop", ("h2", "http/1.1")))
    'TLS to web.shop (h2, http/1.1), requests not seen'
    """
    name = f" to {opening.server_name}" if opening.server_name else ""
    alpn = f" ({', '.join(opening.alpn)})" if opening.alpn else ""
    return f"{opening.protocol}{name}{alpn}, requests not seen"
