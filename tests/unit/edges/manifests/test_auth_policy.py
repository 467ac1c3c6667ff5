import json
from typing import Any

import msgspec
import pytest

from tests.hostile.traffic import AUTH, EC_KEY
from tulle.edges.manifests.auth_policy import check_auth, check_jwks
from tulle.errors import ManifestError
from tulle.model.traffic import AuthSpec

RSA = {"kty": "RSA", "n": "A" * 342 + "Q", "e": "AQAB"}  # 257 bytes
ED25519 = {"kty": "OKP", "crv": "Ed25519", "x": EC_KEY["x"]}


def check(**spec: Any) -> None:
    check_auth(msgspec.convert({**AUTH["spec"], **spec}, AuthSpec))


def refused(*keys: dict[str, Any]) -> str:
    with pytest.raises(ManifestError) as caught:
        check_jwks(json.dumps({"keys": keys}), "jwks")
    return str(caught.value)


def test_keys_that_the_proxy_can_use() -> None:
    check_jwks(json.dumps({"keys": [EC_KEY, RSA, ED25519, {**EC_KEY, "alg": "ES256"}]}))


def test_of_many_keys_the_bad_one_is_named() -> None:
    said = refused(EC_KEY, {**EC_KEY, "d": "AA"})
    assert said == "jwks: key 1 is a private or a shared one: only public keys belong here"
    assert refused({"kty": "oct", "k": "c2VjcmV0"}).startswith("jwks: key 0 is a private or a sh")
    assert "needs an x and a y of 32 bytes" in refused({**EC_KEY, "x": "AA"})
    assert "n of 2048 bits or more" in refused({**RSA, "n": "AQAB"})
    assert "curve that is none of P-256, P-384, P-521" in refused({**EC_KEY, "crv": "secp256k1"})
    assert 'is of type "DSA"; RSA, EC and OKP are known' in refused({"kty": "DSA"})
    assert "crv Ed25519" in refused({**ED25519, "crv": "X25519"})


@pytest.mark.parametrize("text", ["", "{", "[]", '{"keys": [1]}', "[" * 100_000])
def test_what_is_no_key_set(text: str) -> None:
    with pytest.raises(ManifestError, match=r"^jwks: (is not JSON|must be an object)"):
        check_jwks(text, "jwks")


def test_a_policy_asks_for_something() -> None:
    check(jwt=None)
    check(external=None)
    with pytest.raises(ManifestError, match="spec: needs jwt or external"):
        check(jwt=None, external=None)


def test_keys_are_here_or_elsewhere() -> None:
    here, elsewhere = AUTH["spec"]["jwt"]["providers"]
    for jwks in ({}, {**here["jwks"], **elsewhere["jwks"]}):
        with pytest.raises(ManifestError, match=r"jwks: needs exactly one of inline and remote"):
            check(jwt={"providers": [{**here, "jwks": jwks}]})
    remote = {**elsewhere["jwks"]["remote"], "path": "keys.json"}
    with pytest.raises(ManifestError, match=r"jwks\.remote\.path: must start with /"):
        check(jwt={"providers": [{**elsewhere, "jwks": {"remote": remote}}]})


def test_no_claim_becomes_a_header_that_the_request_stands_on() -> None:
    provider = AUTH["spec"]["jwt"]["providers"][0]
    bent = {**provider, "claimsToHeaders": [{"claim": "sub", "header": "Host"}]}
    with pytest.raises(ManifestError, match=r"claimsToHeaders\[0\].header: host is not for a cl"):
        check(jwt={"providers": [bent]})
