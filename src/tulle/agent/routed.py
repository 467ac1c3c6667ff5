"""What `tulle get routes`, `gateways` and `traffic` show, and what of it is not in force.

All are read from the objects' own words and their status (`Routing.status`), so that what is shown
is what the Gateway API says of them. `manifest` is the whole object as the API has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tulle.edges.manifests.render import to_document
from tulle.model.kubernetes import ObjectRef

from .agent import Agent, Pass

Json = dict[str, Any]

ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute", "Ingress")
GATEWAYS = ("GatewayClass", "Gateway", "ListenerSet")
TRAFFIC = (
    "BackendTrafficPolicy",
    "XBackendTrafficPolicy",
    "RateLimitPolicy",
    "FaultInjectionPolicy",
    "AuthPolicy",
    "BackendTLSPolicy",
)
# What each condition says when something is wrong (Gateway API, GatewayConditionType and others)
_WRONG = {
    "Accepted": "False",
    "Programmed": "False",
    "ResolvedRefs": "False",
    "Conflicted": "True",
    "PartiallyInvalid": "True",
}


def routes(agent: Agent, now: Pass) -> list[Json]:
    return [_route(ref, document) for ref, document in _documents(now, ROUTES)]


def gateways(agent: Agent, now: Pass) -> list[Json]:
    return [_gateway(ref, document) for ref, document in _documents(now, GATEWAYS)]


def traffic(agent: Agent, now: Pass) -> list[Json]:
    return [_policy(ref, document) for ref, document in _documents(now, TRAFFIC)]


def _documents(now: Pass, kinds: tuple[str, ...]) -> Iterator[tuple[ObjectRef, Json]]:
    for kind in kinds:
        keys = now.snapshot.kinds.get(kind, {})
        refs = (ObjectRef(kind, *(("", key) if isinstance(key, str) else key)) for key in keys)
        for ref in sorted(refs):
            obj = now.snapshot.get(ref)
            if obj is not None:
                document = to_document(obj)
                document["status"] = now.routing.status.get(ref, {})
                yield ref, document


# --- routes ---


def _route(ref: ObjectRef, document: Json) -> Json:
    spec, status = document.get("spec", {}), document["status"]
    parents = status.get("parents", [])
    return {
        "kind": ref.kind,
        "namespace": ref.namespace,
        "name": ref.name,
        "hostnames": list(spec.get("hostnames", ())) or _hosts(spec),
        "parents": [
            {
                "parent": _parent(ref, parent["parentRef"]),
                **{
                    name.lower(): _is(parent, name, "True") for name in ("Accepted", "ResolvedRefs")
                },
                "reasons": list(_reasons(parent)),
            }
            for parent in parents
        ]
        + list(_strangers(ref, spec, parents)),
        "backends": list(dict.fromkeys(_backends(ref, spec))),
        "manifest": document,
    }


def _strangers(ref: ObjectRef, spec: Json, told: list[Json]) -> Iterator[Json]:
    """Parents that are not Tulle's, or not there: a status says nothing of them."""
    known = {_parent(ref, item["parentRef"]) for item in told}
    for parent in spec.get("parentRefs", ()):
        name = _parent(ref, parent)
        if name in known:
            continue
        reason = f"there is no {name.partition(':')[0]} that Tulle serves"
        if parent.get("kind") == "Service" and parent.get("group") != "":
            reason = 'a Service as parent needs group: ""'
        yield {"parent": name, "accepted": None, "resolvedrefs": None, "reasons": [reason]}


def _hosts(ingress: Mapping[str, Any]) -> list[str]:
    """Of an Ingress; a route without hostnames has none."""
    return [rule["host"] for rule in ingress.get("rules", []) if rule.get("host")]


def _parent(ref: ObjectRef, parent: Mapping[str, Any]) -> str:
    """`Gateway shop/door:https`, with the listener or the port if one is named."""
    kind = parent.get("kind", "Gateway")
    part = parent.get("sectionName") or parent.get("port")
    where = f"{parent.get('namespace', ref.namespace)}/{parent['name']}"
    return f"{kind} {where}{f':{part}' if part else ''}"


def _backends(ref: ObjectRef, spec: Mapping[str, Any]) -> Iterator[str]:
    for rule in spec.get("rules", []):
        for backend in rule.get("backendRefs", []):
            yield _named(ref, backend)
        for path in (rule.get("http") or {}).get("paths", []):  # of an Ingress
            yield from _ingress_backend(ref, path.get("backend", {}))
    yield from _ingress_backend(ref, spec.get("defaultBackend") or {})


def _ingress_backend(ref: ObjectRef, backend: Mapping[str, Any]) -> Iterator[str]:
    if service := backend.get("service"):
        port = service.get("port", {})
        yield _joined(ref.namespace, service["name"], port.get("number") or port.get("name"))


def _named(ref: ObjectRef, backend: Mapping[str, Any]) -> str:
    """`shop/web:80`, with its weight if that is not 1."""
    weight = backend.get("weight", 1)
    name = _joined(backend.get("namespace", ref.namespace), backend["name"], backend.get("port"))
    return name if weight == 1 else f"{name} ({weight})"


def _joined(namespace: str, name: str, port: object) -> str:
    return f"{namespace}/{name}:{port}" if port else f"{namespace}/{name}"


# --- gateways ---


def _gateway(ref: ObjectRef, document: Json) -> Json:
    spec, status = document["spec"], document["status"]
    told = {item["name"]: item for item in status.get("listeners", [])}
    return {
        "kind": ref.kind,
        "namespace": ref.namespace,
        "name": ref.name,
        "class": spec.get("gatewayClassName", ""),
        "parent": _parent(ref, spec["parentRef"]) if "parentRef" in spec else "",
        "addresses": [item["value"] for item in status.get("addresses", [])],
        "accepted": _is(status, "Accepted", "True"),
        "programmed": _is(
            status, "Accepted" if ref.kind == "GatewayClass" else "Programmed", "True"
        ),
        "reasons": list(_reasons(status)) or _not_ours(ref, spec, status),
        "listeners": [
            _listener(item, told.get(item["name"], {})) for item in spec.get("listeners", [])
        ],
        "manifest": document,
    }


def _not_ours(ref: ObjectRef, spec: Json, status: Json) -> list[str]:
    if ref.kind != "Gateway" or status:
        return []
    return [f"GatewayClass {spec['gatewayClassName']} is none of Tulle's"]


def _listener(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Json:
    return {
        "name": spec["name"],
        "port": spec["port"],
        "protocol": spec["protocol"],
        "hostname": spec.get("hostname", ""),
        "attached_routes": status.get("attachedRoutes", 0),
        "programmed": _is(status, "Programmed", "True"),
        "reasons": list(_reasons(status)),
    }


# --- traffic policies ---


def _policy(ref: ObjectRef, document: Json) -> Json:
    """One that has not been looked at yet has no ancestors."""
    return {
        "kind": ref.kind,
        "namespace": ref.namespace,
        "name": ref.name,
        "targets": [_parent(ref, target) for target in document["spec"]["targetRefs"]],
        "ancestors": [
            {
                "ancestor": _parent(ref, item["ancestorRef"]),
                "accepted": _is(item, "Accepted", "True"),
                "reasons": list(_reasons(item)),
            }
            for item in document["status"].get("ancestors", [])
        ],
        "manifest": document,
    }


# --- conditions ---


def not_in_force(now: Pass) -> list[Json]:
    """Every condition that says that something is wrong, for `tulle status`."""
    return [
        {"object": str(ref), "reason": reason}
        for ref, status in sorted(now.routing.status.items())
        for reason in dict.fromkeys(_all_reasons(ref, status))
    ]


def ref_named(text: str) -> ObjectRef | None:
    """
    >>> ref_named("HTTPRoute shop/web"), ref_named("Pod shop/web-1")
    (ObjectRef(kind='HTTPRoute', namespace='shop', name='web'), None)
    """
    kind, _, rest = text.partition(" ")
    namespace, _, name = rest.rpartition("/")
    return ObjectRef(kind, namespace, name) if kind in (*ROUTES, *GATEWAYS, *TRAFFIC) else None


def warnings(now: Pass, refs: Iterable[ObjectRef]) -> list[str]:
    """The same of these objects, and which of them are routes that lead nowhere."""
    found = []
    for ref in refs:
        status = now.routing.status.get(ref, {})
        reasons = list(dict.fromkeys(_all_reasons(ref, status)))
        if ref.kind in ROUTES and not status.get("parents"):
            reasons.append("none of its parents is there, or none is Tulle's")
        found += [f"{ref}: {reason}" for reason in reasons]
    return found


def _all_reasons(ref: ObjectRef, status: Mapping[str, Any]) -> Iterator[str]:
    yield from _reasons(status)
    for listener in status.get("listeners", []):
        yield from (f"listener {listener['name']}: {text}" for text in _reasons(listener))
    for key, name in (("parents", "parentRef"), ("ancestors", "ancestorRef")):
        for item in status.get(key, []):
            at = _parent(ref, item[name])
            yield from (f"{at}: {text}" for text in _reasons(item))


def _reasons(status: Mapping[str, Any]) -> Iterator[str]:
    for item in status.get("conditions", []):
        if item["status"] == _WRONG.get(item["type"]):
            message = f": {item['message']}" if item.get("message") else ""
            yield f"{item['reason']}{message}"


def _is(status: Mapping[str, Any], kind: str, value: str) -> bool:
    return any(
        item["type"] == kind and item["status"] == value for item in status.get("conditions", [])
    )
