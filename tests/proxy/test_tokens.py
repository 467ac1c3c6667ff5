"""Tokens: real requests, with good ones, bad ones and none."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from tests.proxy.backends import backends
from tests.proxy.client import ask
from tests.proxy.envoy import serving
from tests.proxy.mesh import free_port, front, host, image, rule, services, to, web
from tests.proxy.tokens import EdKey, Key, RsaKey, unsigned
from tulle.edges.manifests.auth_policy import check_jwks
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import RequestPolicies, Rule
from tulle.model.routing_policies import RemoteKeys, TokenCheck, TokenIssuer

POLICY = ObjectRef("AuthPolicy", "shop", "web")
KEY, OTHER, RSA, ED = Key(), Key(), RsaKey(), EdKey()
ISSUER = "https://issuer.example"


def jwks(*keys: Key) -> str:
    return json.dumps({"keys": [key.jwk for key in keys]})


CORP = TokenIssuer(
    "corp", ISSUER, jwks(KEY, RSA, ED), ("shop",), claims=(("sub", "x-user"), ("a.b", "x-deep"))
)
PARTNER = TokenIssuer("partner", "https://partner.example", jwks(OTHER), forward=True)
PLACED = replace(
    CORP, headers=(("x-token", "Token "),), params=("token",), cookies=("token",), audiences=()
)


def guarded(*issuers: TokenIssuer, optional: bool = False) -> Rule:
    return rule(to("a"), policies=RequestPolicies(tokens=TokenCheck(POLICY, issuers, optional)))


FAR = RemoteKeys(to("idp"), "/keys.json", 1000)
REMOTE = replace(CORP, jwks=FAR)
AWAY = replace(CORP, jwks=replace(FAR, destination=to("away")))
BROKEN = replace(CORP, jwks=replace(FAR, destination=to("gone", broken="there is none")))
RULES = {
    "/remote": guarded(REMOTE),
    "/away": guarded(AWAY),
    "/broken": guarded(BROKEN),
    "/corp": guarded(CORP),
    "/either": guarded(CORP, PARTNER),
    "/optional": guarded(CORP, optional=True),
    "/placed": guarded(PLACED),
    "/none": rule(to("a")),
}


class Idp(ThreadingHTTPServer):
    """Publishes `keys`."""

    keys = jwks(KEY)
    asked: ClassVar[list[str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            Idp.asked.append(self.path)
            body = Idp.keys.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass


@contextmanager
def idp() -> Iterator[int]:
    server = Idp(("127.0.0.1", 0), Idp.Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module", params=[False, True], ids=["gateway", "mesh"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with backends("a") as real, idp() as keys:
        made = front(web(host(*RULES.items())), mesh=request.param)
        parts = services({"a": real["a"].port, "idp": keys, "away": free_port()})
        with serving(image(parts, made), tmp_path_factory.mktemp("envoy")):
            yield made.port


GOOD = {"iss": ISSUER, "aud": "shop", "sub": "ada"}
LATER, EARLIER = int(time.time()) + 3600, int(time.time()) - 3600


@dataclass(frozen=True)
class Row:
    path: str
    status: int
    token: str = ""


ROWS = {
    "no token": Row("/corp", 401),
    "good": Row("/corp", 200, KEY.token(**GOOD)),
    "good, of RSA": Row("/corp", 200, RSA.token(**GOOD)),
    "good, of Ed25519": Row("/corp", 200, ED.token(**GOOD)),
    "good until later": Row("/corp", 200, KEY.token(**GOOD, exp=LATER)),
    "expired": Row("/corp", 401, KEY.token(**GOOD, exp=EARLIER)),
    "not yet valid": Row("/corp", 401, KEY.token(**GOOD, nbf=LATER)),
    "another's key": Row("/corp", 401, OTHER.token(**GOOD)),
    "another issuer": Row("/corp", 401, KEY.token(**{**GOOD, "iss": "https://b.example"})),
    "another audience": Row("/corp", 403, KEY.token(**{**GOOD, "aud": "bank"})),
    "no audience": Row("/corp", 403, KEY.token(iss=ISSUER, sub="ada")),
    "unsigned": Row("/corp", 401, unsigned(**GOOD)),
    "cut": Row("/corp", 401, KEY.token(**GOOD)[:-5]),
    "no token at all": Row("/corp", 401, "abc"),
    "either: the first's": Row("/either", 200, KEY.token(**GOOD)),
    "either: the second's": Row("/either", 200, OTHER.token(iss=PARTNER.issuer)),
    "either: the second's, by the first's key": Row("/either", 401, KEY.token(iss=PARTNER.issuer)),
    "either: nobody's": Row("/either", 401),
    "optional: none": Row("/optional", 200),
    "optional: good": Row("/optional", 200, KEY.token(**GOOD)),
    "optional: bad": Row("/optional", 401, OTHER.token(**GOOD)),
    "a route without": Row("/none", 200),
}


@pytest.mark.parametrize("name", ROWS)
def test_who_may_pass(port: int, name: str) -> None:
    row = ROWS[name]
    headers = {"Authorization": f"Bearer {row.token}"} if row.token else {}
    answer = ask(port, row.path, headers=headers)
    assert answer.status == row.status
    if answer.status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer realm=")


def test_tokens_are_taken_from_where_they_are_said_to_be(port: int) -> None:
    token = KEY.token(iss=ISSUER)
    assert ask(port, "/placed", headers={"X-Token": f"Token {token}"}).status == 200
    assert ask(port, f"/placed?token={token}").status == 200
    assert ask(port, "/placed", headers={"Cookie": f"token={token}"}).status == 200
    assert ask(port, "/placed", headers={"Authorization": f"Bearer {token}"}).status == 401
    assert ask(port, f"/corp?access_token={KEY.token(**GOOD)}").status == 200


def test_claims_become_headers_and_the_token_stays_here(port: int) -> None:
    token = KEY.token(**GOOD, a={"b": "deep"})
    seen = ask(port, "/corp", headers={"Authorization": f"Bearer {token}"}).seen["headers"]
    assert (seen["x-user"], seen["x-deep"]) == ("ada", "deep")
    assert "authorization" not in seen
    token = OTHER.token(iss=PARTNER.issuer)
    seen = ask(port, "/either", headers={"Authorization": f"Bearer {token}"}).seen["headers"]
    assert seen["authorization"] == f"Bearer {token}"


@pytest.mark.parametrize("path", ["/corp", "/optional"])
def test_nobody_says_himself_what_a_token_would(port: int, path: str) -> None:
    forged = {"X-User": "root", "X-Deep": "root"}
    token = {"Authorization": f"Bearer {KEY.token(**GOOD)}"}
    seen = ask(port, path, headers={**forged, **token}).seen["headers"]
    assert seen["x-user"] == "ada"
    assert "x-deep" not in seen


def test_without_a_token_no_claims_are_believed(port: int) -> None:
    assert "x-user" not in ask(port, "/optional", headers={"X-User": "root"}).seen["headers"]


def test_keys_that_are_used_are_accepted() -> None:
    check_jwks(jwks(KEY, RSA, ED))


def test_keys_are_fetched_and_change(port: int) -> None:
    Idp.keys = jwks(KEY)
    good = {"Authorization": f"Bearer {KEY.token(**GOOD)}"}
    other = {"Authorization": f"Bearer {OTHER.token(**GOOD)}"}
    assert ask(port, "/remote", headers=good).status == 200
    assert set(Idp.asked) == {"/keys.json"}
    assert ask(port, "/remote", headers=other).status == 401
    assert ask(port, "/remote").status == 401
    Idp.keys = jwks(OTHER)
    time.sleep(1.1)  # as long as they hold
    assert ask(port, "/remote", headers=other).status == 200
    assert ask(port, "/remote", headers=good).status == 401


@pytest.mark.parametrize("path", ["/away", "/broken"])
def test_without_keys_no_token_is_good(port: int, path: str) -> None:
    assert ask(port, path, headers={"Authorization": f"Bearer {KEY.token(**GOOD)}"}).status == 401
