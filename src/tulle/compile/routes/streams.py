"""TLSRoute, TCPRoute, UDPRoute → streams: connections that are passed on whole."""

from __future__ import annotations

from tulle.model.gateway_routes import TCPRoute, TLSRoute, UDPRoute
from tulle.model.routing import Stream

from .backends import Backends
from .facts import Asking
from .forms import Form, ref_and_age
from .grants import Referrer


def stream_form(route: TLSRoute | TCPRoute | UDPRoute, asking: Asking) -> Form:
    ref, _ = ref_and_age(route)
    source = Referrer(route.kind, route.metadata.namespace)
    backends = Backends(asking, source, "UDP" if isinstance(route, UDPRoute) else "TCP")
    rule = route.spec.rules[0]
    found = (backends.destination(item, item.weight) for item in rule.backend_refs)
    destinations = tuple(item for item in found if item.weight)
    names = route.spec.hostnames if isinstance(route, TLSRoute) else ()
    return Form(
        route,
        ref,
        names or ("",),
        stream=Stream(destinations, ref),
        resolved=backends.resolved,
        services=frozenset(backends.services),
        answers=asking.answers,
    )
