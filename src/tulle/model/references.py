"""How objects of the Gateway API name others: its simple types, with their patterns and limits."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

from .kubernetes import Object, Port

GATEWAY_GROUP = "gateway.networking.k8s.io"
CONTROLLER = "tulle.io/gateway-controller"  # in a GatewayClass
BUILT_IN_CLASS = "tulle"

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_TCHARS = r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+"  # RFC 9110, 5.6.2

Group = Annotated[str, Meta(max_length=253, pattern=rf"^({_SUBDOMAIN})?\Z")]
Kind = Annotated[
    str, Meta(min_length=1, max_length=63, pattern=r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?\Z")
]
Name = Annotated[str, Meta(min_length=1, max_length=253)]
NamespaceName = Annotated[str, Meta(min_length=1, max_length=63, pattern=rf"^{_LABEL}\Z")]
SectionName = Annotated[str, Meta(min_length=1, max_length=253, pattern=rf"^{_SUBDOMAIN}\Z")]
Hostname = Annotated[str, Meta(min_length=1, max_length=253, pattern=rf"^(\*\.)?{_SUBDOMAIN}\Z")]
PreciseHostname = Annotated[str, Meta(min_length=1, max_length=253, pattern=rf"^{_SUBDOMAIN}\Z")]
ControllerName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=rf"^{_SUBDOMAIN}/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+\Z",
    ),
]
Duration = Annotated[str, Meta(pattern=r"^([0-9]{1,5}(h|m|s|ms)){1,4}\Z")]  # GEP-2257
HeaderName = Annotated[str, Meta(min_length=1, max_length=256, pattern=rf"^{_TCHARS}\Z")]
HeaderValue = Annotated[
    str, Meta(min_length=1, max_length=4096, pattern=r"^[!-~]([\t ]?[!-~])*\Z")
]  # the CRD's, in a form that Python's expressions do not try every division of
Weight = Annotated[int, Meta(ge=0, le=1_000_000)]
Options = Annotated[dict[str, Annotated[str, Meta(max_length=4096)]], Meta(max_length=16)]


class ParentReference(Object, frozen=True):
    """A Gateway, a ListenerSet, or (of the core group, for the mesh) a Service."""

    name: Name
    group: Group = GATEWAY_GROUP
    kind: Kind = "Gateway"
    namespace: NamespaceName = ""  # the object's own
    section_name: SectionName = ""
    port: Port | None = None


class BackendObjectReference(Object, frozen=True):
    name: Name
    group: Group = ""
    kind: Kind = "Service"
    namespace: NamespaceName = ""
    port: Port | None = None


class BackendRef(BackendObjectReference, frozen=True):
    weight: Weight = 1


class SecretReference(Object, frozen=True):
    """SecretObjectReference."""

    name: Name
    group: Group = ""
    kind: Kind = "Secret"
    namespace: NamespaceName = ""


class LocalReference(Object, frozen=True):
    """LocalObjectReference."""

    group: Group
    kind: Kind
    name: Name


class ObjectReference(Object, frozen=True):
    group: Group
    kind: Kind
    name: Name
    namespace: NamespaceName = ""


_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
_DURATION_PART = re.compile(r"([0-9]+)(ms|h|m|s)")


def duration_ms(text: str) -> int:
    """Milliseconds of a GEP-2257 duration.

    >>> duration_ms("1h30m"), duration_ms("250ms")
    (5400000, 250)
    """
    return sum(int(number) * _MS[unit] for number, unit in _DURATION_PART.findall(text))
