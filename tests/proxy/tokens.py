"""JSON Web Tokens, signed by keys of the test's own (RFC 7515, RFC 7518)."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

_SIZE = 32


class Key:
    """Of P-256. `jwk` is its public part."""

    algorithm = "ES256"

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        point = self._key.public_key().public_numbers()
        x, y = (encoded(number.to_bytes(_SIZE, "big")) for number in (point.x, point.y))
        self.jwk: dict[str, str] = {"kty": "EC", "crv": "P-256", "x": x, "y": y}

    def signature(self, data: bytes) -> bytes:
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(SHA256())))
        return r.to_bytes(_SIZE, "big") + s.to_bytes(_SIZE, "big")

    def token(self, **claims: Any) -> str:
        header = {"alg": self.algorithm, "typ": "JWT"}
        parts = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
        return f"{parts}.{encoded(self.signature(parts.encode()))}"


class RsaKey(Key):
    algorithm = "RS256"

    def __init__(self) -> None:
        self._rsa = rsa.generate_private_key(65537, 2048)
        numbers = self._rsa.public_key().public_numbers()
        n, e = encoded(numbers.n.to_bytes(256, "big")), encoded(b"\x01\x00\x01")
        self.jwk = {"kty": "RSA", "n": n, "e": e}

    def signature(self, data: bytes) -> bytes:
        return self._rsa.sign(data, PKCS1v15(), SHA256())


class EdKey(Key):
    algorithm = "EdDSA"

    def __init__(self) -> None:
        self._ed = ed25519.Ed25519PrivateKey.generate()
        raw = self._ed.public_key().public_bytes_raw()
        self.jwk = {"kty": "OKP", "crv": "Ed25519", "x": encoded(raw)}

    def signature(self, data: bytes) -> bytes:
        return self._ed.sign(data)


def unsigned(**claims: Any) -> str:
    header = {"alg": "none", "typ": "JWT"}
    return ".".join(encoded(json.dumps(part).encode()) for part in (header, claims)) + "."


def encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
