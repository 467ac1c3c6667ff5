"""Tokens that requests must bear (RFC 7519, RFC 6750)."""

from __future__ import annotations

from collections.abc import Iterator

from tulle import xds
from tulle.model.routing_policies import RemoteKeys, TokenCheck, TokenIssuer

from .fields import Fields, milliseconds
from .targets import NOWHERE, Scene, Target, target_in_own_name

_FETCH_MS = 5000


def token_filter(check: TokenCheck, scene: Scene) -> Fields:
    """Without a token that is good 401; with one that is not for this audience 403."""
    return xds.any_of(
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        providers={issuer.name: _provider(issuer, scene) for issuer in check.issuers},
        rules=[{"match": {"prefix": "/"}, "requires": _requirement(check)}],
    )


def _requirement(check: TokenCheck) -> Fields:
    accepted: list[Fields] = [{"provider_name": issuer.name} for issuer in check.issuers]
    if check.optional:
        accepted.append({"allow_missing": {}})
    if len(accepted) == 1:
        return accepted[0]
    return {"requires_any": {"requirements": accepted}}


def _provider(issuer: TokenIssuer, scene: Scene) -> Fields:
    return {
        "issuer": issuer.issuer,
        "audiences": issuer.audiences,
        **_keys(issuer.jwks, scene),
        "from_headers": [{"name": name, "value_prefix": prefix} for name, prefix in issuer.headers],
        "from_params": issuer.params,
        "from_cookies": issuer.cookies,
        "forward": issuer.forward,
        "claim_to_headers": [
            {"claim_name": claim, "header_name": header} for claim, header in issuer.claims
        ],
    }


def targets_of_tokens(check: TokenCheck, scene: Scene) -> Iterator[Target]:
    """Where keys are fetched."""
    for issuer in check.issuers:
        if isinstance(issuer.jwks, RemoteKeys):
            target = target_in_own_name(issuer.jwks.destination, scene)
            if target is not None:
                yield target


def _keys(keys: str | RemoteKeys, scene: Scene) -> Fields:
    if isinstance(keys, str):
        return {"local_jwks": {"inline_string": keys}}
    target = target_in_own_name(keys.destination, scene)
    namespace, name = keys.destination.service
    return {
        "remote_jwks": {
            "http_uri": {
                "uri": f"http://{name}.{namespace}{keys.path}",
                "cluster": target.name if target else NOWHERE,
                "timeout": milliseconds(_FETCH_MS),
            },
            "cache_duration": milliseconds(keys.cache_ms),
        }
    }
