"""TLSRoute, TCPRoute, UDPRoute → streams: connections that are passed on whole."""

from __future__ import annotations

from tulle.model.gateway_routes import TCPRoute, TLSRoute, UDPRoute
from tulle.model.kinds import ref_of
from tulle.model.routing import Stream

from .backends import Backends
from .facts import Asking
from .forms import Form, ref_and_age
from .grants import Referrer


def stream_form(route: TLSRoute | TCPRoute | UDPRoute, asking: Asking) -> Form:
    ref, _ = ref_and_age(route)
    source = Referrer(route.kind, route.metadata.namespace)
    backends = Backends(asking, source, "UDP" if isinstance(route, UDPRoute) else "TCP")
    sealed = Backends(asking, source, "TCP", sealed=True)
    return Form(
        route,
        ref,
        (route.spec.hostnames if isinstance(route, TLSRoute) else ()) or ("",),
        stream=_stream(route, backends),
        sealed=_stream(route, sealed) if isinstance(route, TLSRoute) else None,
        resolved=backends.resolved,
        services=frozenset(backends.services),
        answers=asking.answers,
    )


def _stream(route: TLSRoute | TCPRoute | UDPRoute, backends: Backends) -> Stream:
    refs = route.spec.rules[0].backend_refs
    found = (backends.destination(item, item.weight) for item in refs)
    return Stream(tuple(item for item in found if item.weight), ref_of(route))
