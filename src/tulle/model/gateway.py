"""Gateways and what concerns them (gateway.networking.k8s.io), in the API's own words.

Defaults are those of the CRDs. A field of the experimental channel is accepted like any other.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from .kubernetes import Labels, LabelSelector, Object, ObjectMeta, Port
from .references import (
    GATEWAY_GROUP,
    ControllerName,
    Group,
    Hostname,
    Kind,
    LocalReference,
    Name,
    NamespaceName,
    ObjectReference,
    Options,
    PreciseHostname,
    SecretReference,
    SectionName,
)

StandardVersion = Literal["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1"]
V1 = Literal["gateway.networking.k8s.io/v1"]

InfrastructureLabels = Annotated[Labels, Meta(max_length=8)]
_PROTOCOL = r"^([a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?|[a-z0-9][-a-z0-9.]*/[A-Za-z0-9]+)\Z"
_URI = r"^[^:/?#]+:"
_WELL_KNOWN = r"^(System|[a-z0-9][-a-z0-9.]*/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)\Z"


class GatewayClassSpec(Object, frozen=True):
    controller_name: ControllerName
    description: Annotated[str, Meta(max_length=64)] = ""
    parameters_ref: ObjectReference | None = None


class GatewayClass(Object, frozen=True):
    metadata: ObjectMeta
    spec: GatewayClassSpec
    api_version: StandardVersion = "gateway.networking.k8s.io/v1"
    kind: Literal["GatewayClass"] = "GatewayClass"
    status: Any = None


class RouteGroupKind(Object, frozen=True):
    kind: Kind
    group: Group = GATEWAY_GROUP


class RouteNamespaces(Object, frozen=True):
    from_: Literal["All", "Selector", "Same"] = field(name="from", default="Same")
    selector: LabelSelector | None = None


class AllowedRoutes(Object, frozen=True):
    namespaces: RouteNamespaces = RouteNamespaces()
    kinds: Annotated[tuple[RouteGroupKind, ...], Meta(max_length=8)] = ()


class ListenerTLS(Object, frozen=True):
    mode: Literal["Terminate", "Passthrough"] = "Terminate"
    certificate_refs: Annotated[tuple[SecretReference, ...], Meta(max_length=64)] = ()
    options: Options = field(default_factory=dict)


class Listener(Object, frozen=True):
    """`hostname` "": any. Protocols that nobody knows are told in the status."""

    name: SectionName
    port: Port
    protocol: Annotated[str, Meta(min_length=1, max_length=255, pattern=_PROTOCOL)]
    hostname: Hostname = ""
    tls: ListenerTLS | None = None
    allowed_routes: AllowedRoutes = AllowedRoutes()


Listeners = Annotated[tuple[Listener, ...], Meta(min_length=1, max_length=64)]


class GatewayAddress(Object, frozen=True):
    type: Annotated[str, Meta(min_length=1, max_length=253)] = "IPAddress"
    value: Annotated[str, Meta(max_length=253)] = ""


class ListenerNamespaces(Object, frozen=True):
    from_: Literal["All", "Selector", "Same", "None"] = field(name="from", default="None")
    selector: LabelSelector | None = None


class AllowedListeners(Object, frozen=True):
    namespaces: ListenerNamespaces = ListenerNamespaces()


class FrontendValidation(Object, frozen=True):
    ca_certificate_refs: Annotated[tuple[ObjectReference, ...], Meta(min_length=1, max_length=16)]
    mode: Literal["AllowValidOnly", "AllowInsecureFallback"] = "AllowValidOnly"


class FrontendTLSConfig(Object, frozen=True):
    validation: FrontendValidation | None = None


class PortTLSConfig(Object, frozen=True):
    port: Port
    tls: FrontendTLSConfig


class FrontendTLS(Object, frozen=True):
    default: FrontendTLSConfig
    per_port: Annotated[tuple[PortTLSConfig, ...], Meta(max_length=64)] = ()


class BackendTLS(Object, frozen=True):
    client_certificate_ref: SecretReference | None = None


class GatewayTLS(Object, frozen=True):
    frontend: FrontendTLS | None = None
    backend: BackendTLS | None = None


class Infrastructure(Object, frozen=True):
    labels: InfrastructureLabels = field(default_factory=dict)
    annotations: Options = field(default_factory=dict)
    parameters_ref: LocalReference | None = None


class GatewaySpec(Object, frozen=True):
    gateway_class_name: Name
    listeners: Listeners
    addresses: Annotated[tuple[GatewayAddress, ...], Meta(max_length=16)] = ()
    allowed_listeners: AllowedListeners = AllowedListeners()
    default_scope: Literal["All", "None"] = "None"
    infrastructure: Infrastructure = Infrastructure()
    tls: GatewayTLS = GatewayTLS()


class Gateway(Object, frozen=True):
    metadata: ObjectMeta
    spec: GatewaySpec
    api_version: StandardVersion = "gateway.networking.k8s.io/v1"
    kind: Literal["Gateway"] = "Gateway"
    status: Any = None


class ParentGateway(Object, frozen=True):
    """ParentGatewayReference."""

    name: Name
    group: Group = GATEWAY_GROUP
    kind: Kind = "Gateway"
    namespace: NamespaceName = ""  # the object's own


class ListenerSetSpec(Object, frozen=True):
    parent_ref: ParentGateway
    listeners: Listeners


class ListenerSet(Object, frozen=True):
    """More listeners of a Gateway, from whoever may add them (GEP-1713)."""

    metadata: ObjectMeta
    spec: ListenerSetSpec
    api_version: V1 = "gateway.networking.k8s.io/v1"
    kind: Literal["ListenerSet"] = "ListenerSet"
    status: Any = None


class GrantFrom(Object, frozen=True):
    group: Group
    kind: Kind
    namespace: NamespaceName


class GrantTo(Object, frozen=True):
    """`name` "": all of the kind."""

    group: Group
    kind: Kind
    name: Name = ""


class ReferenceGrantSpec(Object, frozen=True):
    from_: Annotated[tuple[GrantFrom, ...], Meta(min_length=1, max_length=16)] = field(name="from")
    to: Annotated[tuple[GrantTo, ...], Meta(min_length=1, max_length=16)]


class ReferenceGrant(Object, frozen=True):
    metadata: ObjectMeta
    spec: ReferenceGrantSpec
    api_version: StandardVersion = "gateway.networking.k8s.io/v1"
    kind: Literal["ReferenceGrant"] = "ReferenceGrant"


class PolicyTarget(Object, frozen=True):
    """LocalPolicyTargetReferenceWithSectionName."""

    group: Group
    kind: Kind
    name: Name
    section_name: SectionName = ""


class SubjectAltName(Object, frozen=True):
    type: Literal["Hostname", "URI"]
    hostname: Hostname = ""
    uri: Annotated[str, Meta(min_length=1, max_length=253, pattern=_URI)] = ""


class BackendTLSValidation(Object, frozen=True):
    hostname: PreciseHostname
    ca_certificate_refs: Annotated[tuple[LocalReference, ...], Meta(max_length=8)] = field(
        name="caCertificateRefs", default=()
    )
    well_known_ca_certificates: Annotated[
        str, Meta(min_length=1, max_length=253, pattern=_WELL_KNOWN)
    ] = field(name="wellKnownCACertificates", default="")
    subject_alt_names: Annotated[tuple[SubjectAltName, ...], Meta(max_length=5)] = ()


class BackendTLSPolicySpec(Object, frozen=True):
    target_refs: Annotated[tuple[PolicyTarget, ...], Meta(min_length=1, max_length=16)]
    validation: BackendTLSValidation
    options: Options = field(default_factory=dict)


class BackendTLSPolicy(Object, frozen=True):
    """How gateways speak TLS to a Service."""

    metadata: ObjectMeta
    spec: BackendTLSPolicySpec
    api_version: Literal["gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1alpha3"] = (
        "gateway.networking.k8s.io/v1"
    )
    kind: Literal["BackendTLSPolicy"] = "BackendTLSPolicy"
    status: Any = None
