"""TLS of listeners: certificates, which clients they take, and a Gateway's own certificate."""

from __future__ import annotations

from tulle.model.gateway import FrontendValidation, Gateway
from tulle.model.routing import Certificate, ClientValidation, Termination

from .conditions import RESOLVED, Verdict
from .contents import Contents, Problem
from .grants import Grants, Referrer, Target
from .listeners import Spot

_CERTIFICATE_REASONS = {"RefNotPermitted": "RefNotPermitted"}
_CLIENT_REASONS = {
    "RefNotPermitted": "RefNotPermitted",
    "InvalidKind": "InvalidCACertificateKind",
}


def set_termination(spot: Spot, gateway: Gateway, contents: Contents, grants: Grants) -> None:
    """`spot` is a listener of `gateway`, or of a ListenerSet on it."""
    listener = spot.listener
    if listener.protocol not in ("HTTPS", "TLS") or (listener.tls and not spot.terminates):
        return
    certificates = _certificates(spot, contents, grants)
    client = None
    validation = _validation(gateway, listener.port) if listener.protocol == "HTTPS" else None
    if validation is not None:
        client = _client(spot, gateway, validation, contents, grants)
        if client is None:
            spot.refuse("NoValidCACertificate", spot.resolved.message)
    if not certificates:
        spot.programmed = Verdict(False, "Invalid", "there is no certificate to serve")
    if certificates and spot.accepted.holds:
        spot.termination = Termination(certificates, client)


def _certificates(spot: Spot, contents: Contents, grants: Grants) -> tuple[Certificate, ...]:
    source = Referrer(spot.owner.kind, spot.namespace)
    refs = spot.listener.tls.certificate_refs if spot.listener.tls else ()
    if not refs:
        spot.unresolve("InvalidCertificateRef", "tls.certificateRefs: none is given")
    found = []
    for ref in refs:
        target = Target(ref.group, ref.kind, ref.namespace or spot.namespace, ref.name)
        answer = contents.certificate(source, target, grants)
        if isinstance(answer, Problem):
            reason = _CERTIFICATE_REASONS.get(answer.kind, "InvalidCertificateRef")
            spot.unresolve(reason, answer.message)
        else:
            found.append(answer)
    return tuple(found)


def _validation(gateway: Gateway, port: int) -> FrontendValidation | None:
    """A port's own configuration replaces the default."""
    if (frontend := gateway.spec.tls.frontend) is None:
        return None
    for item in frontend.per_port:
        if item.port == port:
            return item.tls.validation
    return frontend.default.validation


def is_insecure(gateway: Gateway) -> bool:
    """Whether a client's certificate is asked for somewhere and need not be good."""
    if (frontend := gateway.spec.tls.frontend) is None:
        return False
    configured = (frontend.default, *(item.tls for item in frontend.per_port))
    return any(
        item.validation is not None and item.validation.mode == "AllowInsecureFallback"
        for item in configured
    )


def _client(
    spot: Spot,
    gateway: Gateway,
    validation: FrontendValidation,
    contents: Contents,
    grants: Grants,
) -> ClientValidation | None:
    """None: of no authority that is named there is a certificate."""
    source = Referrer("Gateway", gateway.metadata.namespace)
    found = []
    for ref in validation.ca_certificate_refs:
        target = Target(ref.group, ref.kind, ref.namespace or source.namespace, ref.name)
        answer = contents.authorities(source, target, grants)
        if isinstance(answer, Problem):
            reason = _CLIENT_REASONS.get(answer.kind, "InvalidCACertificateRef")
            spot.unresolve(reason, answer.message)
        else:
            found.append(answer)
    if not found:
        return None
    optional = validation.mode == "AllowInsecureFallback"
    return ClientValidation("\n".join(found), optional)


def backend_certificate(
    gateway: Gateway, contents: Contents, grants: Grants
) -> tuple[Certificate | None, Verdict]:
    """What a Gateway shows its backends, and whether it can be had."""
    backend = gateway.spec.tls.backend
    if backend is None or (ref := backend.client_certificate_ref) is None:
        return None, RESOLVED
    own = gateway.metadata.namespace
    target = Target(ref.group, ref.kind, ref.namespace or own, ref.name)
    answer = contents.certificate(Referrer("Gateway", own), target, grants)
    if isinstance(answer, Problem):
        permitted = answer.kind != "RefNotPermitted"
        reason = "InvalidClientCertificateRef" if permitted else "RefNotPermitted"
        return None, Verdict(False, reason, f"tls.backend.clientCertificateRef: {answer.message}")
    return answer, RESOLVED
