"""Authorities and certificates for tests, made when they are needed."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

_FORMATS = {
    "PKCS8": serialization.PrivateFormat.PKCS8,
    "traditional": serialization.PrivateFormat.TraditionalOpenSSL,
}
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@cache
def key_of(kind: str, number: int = 0) -> Key:
    """Of kind ec, rsa or ed25519; another for another number."""
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else _ed25519()


def _ed25519() -> Key:
    return ed25519.Ed25519PrivateKey.generate()


@cache
def pair(kind: str = "ec", form: str = "PKCS8", number: int = 0) -> tuple[str, str]:
    """A certificate of its own making, and its key, in PEM."""
    key = key_of(kind, number)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{kind}{number}.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, None if kind == "ed25519" else hashes.SHA256())
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM).decode()
    encoded = key.private_bytes(
        serialization.Encoding.PEM, _FORMATS[form], serialization.NoEncryption()
    )
    return chain, encoded.decode()


def secret(name: str, chain: str, key: str, namespace: str = "shop") -> dict[str, Any]:
    data = {"tls.crt": chain, "tls.key": key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "kubernetes.io/tls",
        "data": {name: b64encode(text.encode()).decode() for name, text in data.items()},
    }


def config_map(name: str, text: str, namespace: str = "shop", key: str = "ca.crt") -> Any:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": {key: text},
    }
