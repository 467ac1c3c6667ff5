"""An authority for one control plane: its server, and whoever speaks to it."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = timedelta(days=1)
_USES = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]


class Authority:
    """Files go to `place`; `certificate` is its own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("kubernetes")
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        builder = (
            _builder(self._name, self._key.public_key())
            .issuer_name(self._name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(identifier, critical=False)
        )
        self.certificate = self._write("ca", builder)

    def issue(self, stem: str, user: str, *groups: str, names: tuple[str, ...] = ()) -> Path:
        """STEM.crt, whose path it returns, and STEM.key: of `user`, or of a server with `names`."""
        key = ec.generate_private_key(ec.SECP256R1())
        public = self._key.public_key()
        builder = (
            _builder(_name(user, *groups), key.public_key())
            .issuer_name(self._name)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(_USES), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False
            )
        )
        if names:
            alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        write_key(self.place / f"{stem}.key", key)
        return self._write(stem, builder)

    def kubeconfig(self, server: str, stem: str, user: str, *groups: str) -> Path:
        """STEM.kubeconfig, with all that it needs inside."""
        certificate = self.issue(stem, user, *groups)
        key = certificate.with_suffix(".key")
        cluster = {"server": server, "certificate-authority-data": _encoded(self.certificate)}
        own = {"client-certificate-data": _encoded(certificate), "client-key-data": _encoded(key)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": user, "user": own}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": user}}],
            "current-context": "tests",
        }
        path = self.place / f"{stem}.kubeconfig"
        _write_private(path, json.dumps(content, indent=1).encode())
        return path

    def _write(self, stem: str, builder: x509.CertificateBuilder) -> Path:
        path = self.place / f"{stem}.crt"
        certificate = builder.sign(self._key, hashes.SHA256())
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path


def write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    content = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,  # what service accounts' keys have to be
        serialization.NoEncryption(),
    )
    _write_private(path, content)
    return path


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def _builder(name: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
    )


def _name(user: str, *groups: str) -> x509.Name:
    of = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*of, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
