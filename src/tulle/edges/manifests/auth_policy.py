"""Rules of AuthPolicy: tokens and their keys, and who else is asked."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode
from typing import Any

import msgspec

from tulle.model.references import duration_ms
from tulle.model.traffic import AuthSpec, Jwks, Jwt, JwtProvider

from .fields import FieldError, quote
from .gateway import check_unique
from .http_filters import check_backend, check_external_auth

_MAX_KEYS = 32
_MAX_TIMEOUT_MS = 60_000
_MIN_CACHE_MS, _MAX_CACHE_MS = 1000, 86_400_000
_MIN_RSA_BYTES = 256
_CURVES = {"P-256": 32, "P-384": 48, "P-521": 66}  # bytes of a coordinate (RFC 7518, 6.2.1)
_ED25519_BYTES = 32
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
# Of what the proxy and the protocol stand on, no claim may speak.
_NOT_FROM_CLAIMS = ("host", "authorization", "content-length", "transfer-encoding", "connection")


def check_auth(spec: AuthSpec) -> None:
    if spec.jwt is None and spec.external is None:
        raise FieldError("needs jwt or external", "spec")
    if spec.jwt is not None:
        _check_jwt(spec.jwt, "spec", "jwt")
    if spec.external is not None:
        check_external_auth(spec.external, "spec", "external")
    if not 1 <= duration_ms(spec.timeout) <= _MAX_TIMEOUT_MS:
        raise FieldError("must be from 1ms to 1m", "spec", "timeout")


def _check_jwt(jwt: Jwt, *path: str | int) -> None:
    check_unique([item.name for item in jwt.providers], *path, "providers", field="name")
    for index, provider in enumerate(jwt.providers):
        _check_provider(provider, *path, "providers", index)


def _check_provider(provider: JwtProvider, *path: str | int) -> None:
    _check_keys(provider.jwks, *path, "jwks")
    if (places := provider.places) is not None:
        if not (places.headers or places.params or places.cookies):
            raise FieldError("names no place of a token", *path, "from")
        for index, header in enumerate(places.headers):
            if not header.prefix.isprintable():
                reason = "must hold printable characters only"
                raise FieldError(reason, *path, "from", "headers", index, "prefix")
    names = [item.header.lower() for item in provider.claims_to_headers]
    check_unique(names, *path, "claimsToHeaders", field="header")
    for index, name in enumerate(names):
        if name in _NOT_FROM_CLAIMS:
            reason = f"{name} is not for a claim to set"
            raise FieldError(reason, *path, "claimsToHeaders", index, "header")


def _check_keys(jwks: Jwks, *path: str | int) -> None:
    if (jwks.inline is None) == (jwks.remote is None):
        raise FieldError("needs exactly one of inline and remote", *path)
    if jwks.inline is not None:
        check_jwks(jwks.inline, *path, "inline")
    if (remote := jwks.remote) is not None:
        check_backend(remote.backend_ref, *path, "remote", "backendRef")
        if not remote.path.startswith("/"):
            raise FieldError("must start with /", *path, "remote", "path")
        if not _MIN_CACHE_MS <= duration_ms(remote.cache_duration) <= _MAX_CACHE_MS:
            raise FieldError("must be from 1s to 24h", *path, "remote", "cacheDuration")


def check_jwks(text: str, *path: str | int) -> None:
    """Public keys that the proxy can use, all of them: it would pass over others in silence."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise FieldError(f"is not JSON: {error}", *path) from error
    keys = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise FieldError('must be an object with a list "keys" (RFC 7517)', *path)
    if not 1 <= len(keys) <= _MAX_KEYS:
        raise FieldError(f"must hold 1 to {_MAX_KEYS} keys, not {len(keys)}", *path)
    for index, key in enumerate(keys):
        if reason := _fault_of(key):
            raise FieldError(f"key {index} {reason}", *path)


def _fault_of(key: dict[str, Any]) -> str:
    if any(name in key for name in _PRIVATE):
        return "is a private or a shared one: only public keys belong here"
    if any(not isinstance(key.get(name, ""), str) for name in ("kid", "alg", "use")):
        return "has a kid, alg or use that is not text"
    match key.get("kty"):
        case "RSA":
            if len(_number(key, "n")) < _MIN_RSA_BYTES or not _number(key, "e"):
                return f"needs e, and an n of {_MIN_RSA_BYTES * 8} bits or more (RFC 7518, 6.3)"
        case "EC":
            size = _CURVES.get(str(key.get("crv")))
            if size is None:
                return f"has a curve that is none of {', '.join(_CURVES)}"
            if len(_number(key, "x")) != size or len(_number(key, "y")) != size:
                return f"needs an x and a y of {size} bytes (RFC 7518, 6.2)"
        case "OKP":
            if key.get("crv") != "Ed25519" or len(_number(key, "x")) != _ED25519_BYTES:
                return f"needs crv Ed25519 and an x of {_ED25519_BYTES} bytes (RFC 8037)"
        case other:
            return f"is of type {quote(str(other))}; RSA, EC and OKP are known"
    return ""


def _number(key: dict[str, Any], name: str) -> bytes:
    """A member in base64url without padding; empty if it is none."""
    text = key.get(name)
    if not isinstance(text, str) or "=" in text:
        return b""
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""
