"""Certificates and keys as text (RFC 7468), looked at just enough that the proxy will take them.

Reads DER by hand (X.690) as far as the public key, so that a key that is not its certificate's is
found here, with its Secret's name, and not by the proxy. No error shows any of the text.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator

from tulle.errors import Refused

# Possessive, as what is no block may be long.
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]++)-----\s([A-Za-z0-9+/=\s]++)-----END \1-----")
_KEYS = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY")
_SEQUENCE, _INTEGER, _BITS, _OCTETS = 0x30, 0x02, 0x03, 0x04
_PUBLIC = 0xA1  # in an EC private key (RFC 5915)


def check_certificates(text: str) -> None:
    """At least one certificate, each whole. Raises Refused."""
    if not [_public_key(der) for der in _blocks(text, ("CERTIFICATE",))]:
        raise Refused("holds no certificate in PEM")


def check_pair(chain: str, key: str) -> None:
    """That the key is the first certificate's. Raises Refused."""
    public = [_public_key(der) for der in _blocks(chain, ("CERTIFICATE",))]
    if not public:
        raise Refused("tls.crt holds no certificate in PEM")
    label, der = _one_key(key)
    try:
        matching = _matches(label, der, public[0])
    except (IndexError, ValueError):
        raise Refused("tls.key is not a private key") from None
    if not matching:
        raise Refused("tls.key is not the key of the certificate in tls.crt")


def _one_key(text: str) -> tuple[str, bytes]:
    for label in _KEYS:
        for der in _blocks(text, (label,)):
            return label, der
    raise Refused("tls.key holds no unencrypted private key in PEM")


def _blocks(text: str, labels: tuple[str, ...]) -> Iterator[bytes]:
    for label, body in _BLOCK.findall(text):
        if label in labels:
            try:
                yield b64decode("".join(body.split()), validate=True)
            except binascii.Error:
                raise Refused(f"a {label} in PEM is not base64") from None


def _read(data: bytes, tag: int | None = None) -> tuple[int, bytes, bytes]:
    """Tag, content and rest of the first value. Raises ValueError, IndexError."""
    found, length, start = data[0], data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if len(data) < start + length or (tag is not None and found != tag):
        raise ValueError
    return found, data[start : start + length], data[start + length :]


def _content(data: bytes, tag: int) -> bytes:
    return _read(data, tag)[1]


def _skip(data: bytes, count: int) -> bytes:
    for _ in range(count):
        data = _read(data)[2]
    return data


def _public_key(certificate: bytes) -> bytes:
    """The bits of subjectPublicKey (RFC 5280, 4.1). Raises Refused."""
    try:
        tbs = _content(_content(certificate, _SEQUENCE), _SEQUENCE)
        if tbs[0] == 0xA0:  # version
            tbs = _skip(tbs, 1)
        info = _content(_skip(tbs, 5), _SEQUENCE)
        return _content(_skip(info, 1), _BITS)[1:]
    except (IndexError, ValueError):
        raise Refused("a certificate in PEM is not whole") from None


def _matches(label: str, key: bytes, public: bytes) -> bool:
    inner = _content(key, _SEQUENCE)
    if label == "PRIVATE KEY":  # PKCS #8 (RFC 5958) around one of the others, or a raw key
        wrapped = _content(_skip(inner, 2), _OCTETS)
        if wrapped[:1] != bytes([_SEQUENCE]):
            return True  # of Ed25519 and alike only a computation would tell
        inner = _content(wrapped, _SEQUENCE)
        label = "EC PRIVATE KEY" if _skip(inner, 1)[0] == _OCTETS else "RSA PRIVATE KEY"
    if label == "RSA PRIVATE KEY":
        modulus = _content(_skip(inner, 1), _INTEGER)
        return public[:1] == bytes([_SEQUENCE]) and modulus == _content(
            _content(public, _SEQUENCE), _INTEGER
        )
    rest = _skip(inner, 2)
    while rest:
        tag, content, rest = _read(rest)
        if tag == _PUBLIC:
            return _content(content, _BITS)[1:] == public
    return public[:1] != bytes([_SEQUENCE])
