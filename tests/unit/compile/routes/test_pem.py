import time
from base64 import b64encode

import pytest

from tests.unit.compile.routes.certs import pair
from tulle.compile.routes.pem import check_certificates, check_pair
from tulle.errors import Refused


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("ec", "PKCS8"),
        ("ec", "traditional"),
        ("rsa", "PKCS8"),
        ("rsa", "traditional"),
        ("ed25519", "PKCS8"),
    ],
)
def test_a_certificate_with_its_key(kind: str, form: str) -> None:
    chain, key = pair(kind, form)
    check_pair(chain, key)
    check_pair(f"a remark\n{chain}\n{pair('rsa')[0]}", f"{key}\n")
    check_certificates(chain)


@pytest.mark.parametrize(
    ("kind", "other"), [("ec", "ec"), ("rsa", "rsa"), ("ec", "rsa"), ("rsa", "ec")]
)
@pytest.mark.parametrize("form", ["PKCS8", "traditional"])
def test_a_key_of_another_certificate(kind: str, other: str, form: str) -> None:
    with pytest.raises(Refused, match="not the key of the certificate"):
        check_pair(pair(kind)[0], pair(other, form, 1)[1])


def test_what_is_no_certificate() -> None:
    chain, key = pair()
    cut = b64encode(b"0\x82\x10\x00abc").decode()
    for text in (
        "",
        "Hello world",
        key,
        f"-----BEGIN CERTIFICATE-----\n{cut}\n-----END CERTIFICATE-----",
    ):
        for check in (check_certificates, lambda text: check_pair(text, key)):
            with pytest.raises(Refused) as caught:
                check(text)
            assert cut not in str(caught.value)
    for text in ("", "Hello world", chain, key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")):
        with pytest.raises(Refused, match=r"tls\.key"):
            check_pair(chain, text)


@pytest.mark.parametrize("body", ["\n", " a", "-----BEGIN CERTIFICATE-----\n", "CERTIFICATE "])
def test_what_does_not_end_takes_no_time(body: str) -> None:
    began = time.process_time()
    with pytest.raises(Refused):
        check_certificates("-----BEGIN CERTIFICATE-----\n" + body * (1_000_000 // len(body)))
    assert time.process_time() - began < 10  # it would be hours


@pytest.mark.parametrize("label", ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"])
@pytest.mark.parametrize("raw", [b"0", b"0\x03abc", b"\x02\x01\x00", b"0\x80", b"\x00" * 40])
def test_what_is_no_key(label: str, raw: bytes) -> None:
    key = f"-----BEGIN {label}-----\n{b64encode(raw).decode()}\n-----END {label}-----\n"
    with pytest.raises(Refused):
        check_pair(pair()[0], key)
