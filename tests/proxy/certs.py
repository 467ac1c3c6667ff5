"""Authorities and certificates, made with openssl."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tulle.model.routing import Certificate


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


class Authority:
    """`pem` is its certificate."""

    def __init__(self, place: Path, name: str) -> None:
        self._place, self._name = place, name
        self._key, self._certificate = place / f"{name}.key", place / f"{name}.pem"
        _openssl(
            *self._request(self._key, self._certificate, name), "-addext", "keyUsage=keyCertSign"
        )
        self.pem = self._certificate.read_text()

    def issue(self, name: str, *alternatives: str) -> Certificate:
        """`alternatives` as openssl has them: `DNS:a.example`, `URI:spiffe://a/b`."""
        stem = f"{self._name}-{name}"
        key, certificate = self._place / f"{stem}.key", self._place / f"{stem}.pem"
        names = ",".join(alternatives) or f"DNS:{name}"
        _openssl(
            *self._request(key, certificate, name),
            *("-CA", self._certificate, "-CAkey", self._key),
            *(
                "-addext",
                f"subjectAltName={names}",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
            ),
        )
        return Certificate(f"shop/{stem}", certificate.read_text(), key.read_text())

    def client(
        self, certificate: Certificate | None = None, alpn: Sequence[str] = ()
    ) -> ssl.SSLContext:
        """Of one who trusts this authority alone."""
        context = ssl.create_default_context(cadata=self.pem)
        if certificate is not None:
            self._load(context, certificate)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def server(self, certificate: Certificate, clients: bool = False) -> ssl.SSLContext:
        """With `clients` they must show a certificate of this authority."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=self.pem)
        self._load(context, certificate)
        context.verify_mode = ssl.CERT_REQUIRED if clients else ssl.CERT_NONE
        return context

    def _load(self, context: ssl.SSLContext, certificate: Certificate) -> None:
        path = self._place / "pair.pem"
        path.write_text(certificate.chain + certificate.key)
        context.load_cert_chain(path)

    @staticmethod
    def _request(key: Path, certificate: Path, name: str) -> list[str | Path]:
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        files = ["-keyout", key, "-out", certificate]
        return ["req", "-x509", *curve, "-nodes", *files, "-subj", f"/CN={name}", "-days", "2"]
