"""Tokens that requests must bear (RFC 7519, RFC 6750)."""

from __future__ import annotations

from tulle import xds
from tulle.model.routing_policies import TokenCheck, TokenIssuer

from .fields import Fields


def token_filter(check: TokenCheck) -> Fields:
    """Without a token that is good 401; with one that is not for this audience 403."""
    return xds.any_of(
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        providers={issuer.name: _provider(issuer) for issuer in check.issuers},
        rules=[{"match": {"prefix": "/"}, "requires": _requirement(check)}],
    )


def _requirement(check: TokenCheck) -> Fields:
    accepted: list[Fields] = [{"provider_name": issuer.name} for issuer in check.issuers]
    if check.optional:
        accepted.append({"allow_missing": {}})
    if len(accepted) == 1:
        return accepted[0]
    return {"requires_any": {"requirements": accepted}}


def _provider(issuer: TokenIssuer) -> Fields:
    return {
        "issuer": issuer.issuer,
        "audiences": issuer.audiences,
        "local_jwks": {"inline_string": issuer.jwks},
        "from_headers": [{"name": name, "value_prefix": prefix} for name, prefix in issuer.headers],
        "from_params": issuer.params,
        "from_cookies": issuer.cookies,
        "forward": issuer.forward,
        "claim_to_headers": [
            {"claim_name": claim, "header_name": header} for claim, header in issuer.claims
        ],
    }
