"""TLS on both sides of the proxy. Certificates and authorities come by SDS, so that a new one
touches neither listener nor cluster.
"""

from __future__ import annotations

from collections.abc import Iterator

from tulle import xds
from tulle.model.routing import Certificate, ClientValidation, Termination, UpstreamTls

from ..parts import digest64
from .fields import ADS, Fields, extension

SYSTEM_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"

_SOCKET = "envoy.transport_sockets.tls"
_TYPES = "envoy.extensions.transport_sockets.tls.v3"


def server_socket(termination: Termination, protocols: tuple[str, ...]) -> Fields:
    """A TransportSocket that ends clients' TLS. `protocols` are those of ALPN."""
    client = termination.client
    common: Fields = {
        "alpn_protocols": protocols,
        "tls_certificate_sds_secret_configs": [
            _by_sds(name_of(c)) for c in termination.certificates
        ],
    }
    if client is not None:
        common["validation_context_sds_secret_config"] = _by_sds(name_of(client))
    return extension(
        _SOCKET,
        xds.any_of(
            f"{_TYPES}.DownstreamTlsContext",
            common_tls_context=common,
            require_client_certificate={"value": client is not None and not client.optional},
        ),
    )


def client_socket(tls: UpstreamTls, protocols: tuple[str, ...]) -> Fields:
    """A TransportSocket towards a backend, which must show a certificate that bears its name."""
    common: Fields = {
        "alpn_protocols": protocols,
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": list(_names(tls))},
            "validation_context_sds_secret_config": _by_sds(name_of(tls)),
        },
    }
    if tls.client is not None:
        common["tls_certificate_sds_secret_configs"] = [_by_sds(name_of(tls.client))]
    return extension(
        _SOCKET,
        xds.any_of(f"{_TYPES}.UpstreamTlsContext", sni=tls.sni, common_tls_context=common),
    )


def secrets_of(of: Termination | UpstreamTls) -> Iterator[tuple[str, bytes]]:
    """The secrets that the sockets above ask for, by name."""
    certificates = of.certificates if isinstance(of, Termination) else (of.client,)
    for certificate in certificates:
        if certificate is not None:
            yield name_of(certificate), _certificate(certificate)
    if isinstance(of, UpstreamTls):
        yield name_of(of), _authorities(of, name_of(of))
    elif of.client is not None:
        yield name_of(of.client), _authorities(of.client, name_of(of.client))


def name_of(secret: Certificate | ClientValidation | UpstreamTls) -> str:
    if isinstance(secret, Certificate):
        return f"certificate/{secret.name}"
    if isinstance(secret, UpstreamTls) and secret.system_authorities:
        return "authorities/system"
    optional = "-optional" if isinstance(secret, ClientValidation) and secret.optional else ""
    return f"authorities/{digest64(secret.authorities.encode()):016x}{optional}"


def _by_sds(name: str) -> Fields:
    return {"name": name, "sds_config": ADS}


def _names(tls: UpstreamTls) -> Iterator[Fields]:
    """One of them is enough. Without any, it is the name that is asked for (GEP-1897)."""
    given = bool(tls.names or tls.uris)
    for name in tls.names if given else (tls.sni,):
        yield {"san_type": "DNS", "matcher": {"exact": name}}
    for uri in tls.uris:
        yield {"san_type": "URI", "matcher": {"exact": uri}}


def _certificate(certificate: Certificate) -> bytes:
    return xds.pack(
        f"{_TYPES}.Secret",
        name=name_of(certificate),
        tls_certificate={
            "certificate_chain": {"inline_string": certificate.chain},
            "private_key": {"inline_string": certificate.key},
        },
    )


def _authorities(of: ClientValidation | UpstreamTls, name: str) -> bytes:
    trusted: Fields = {"inline_string": of.authorities}
    if isinstance(of, UpstreamTls) and of.system_authorities:
        trusted = {"filename": SYSTEM_AUTHORITIES}
    optional = isinstance(of, ClientValidation) and of.optional
    context: Fields = {"trusted_ca": trusted}
    if optional:
        context["trust_chain_verification"] = "ACCEPT_UNTRUSTED"
    return xds.pack(f"{_TYPES}.Secret", name=name, validation_context=context)
