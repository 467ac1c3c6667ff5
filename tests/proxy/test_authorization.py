"""External authorization: real requests, with a service that permits, denies, or is away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from tests.proxy.authorizers import (
    GrpcAuthorizer,
    HttpAuthorizer,
    grpc_authorizer,
    http_authorizer,
)
from tests.proxy.backends import Backend, backends
from tests.proxy.client import ask
from tests.proxy.envoy import serving
from tests.proxy.mesh import free_port, front, host, image, rule, services, to, web
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import ExternalAuthorization, Filters, Redirect, RequestPolicies, Rule

POLICY = ObjectRef("AuthPolicy", "shop", "web")
HTTP = ExternalAuthorization(POLICY, to("http"), "HTTP", headers=("x-pass",), timeout_ms=500)
GRPC = ExternalAuthorization(POLICY, to("grpc"), "GRPC", timeout_ms=500)
BROKEN = to("gone", broken="there is no Service shop/gone")


def guarded(authorization: ExternalAuthorization, **filters: Redirect) -> Rule:
    destinations = () if filters else (to("a"),)
    policies = RequestPolicies(authorization=authorization)
    return rule(*destinations, policies=policies, filters=Filters(**filters))


RULES = {
    "/http": guarded(HTTP),
    "/grpc": guarded(GRPC),
    "/prefix": guarded(replace(HTTP, path_prefix="/check")),
    "/some": guarded(replace(HTTP, response_headers=("x-identity",))),
    "/body": guarded(replace(HTTP, body_bytes=10)),
    "/few": guarded(replace(GRPC, headers=("x-pass",))),
    "/away": guarded(replace(HTTP, destination=to("away"))),
    "/away-grpc": guarded(replace(GRPC, destination=to("away"))),
    "/broken": guarded(replace(HTTP, destination=BROKEN)),
    "/broken-grpc": guarded(replace(GRPC, destination=BROKEN)),
    "/moved": guarded(HTTP, redirect=Redirect(hostname="b.example")),
    "/own": rule(to("a"), filters=Filters(authorization=HTTP)),
    "/backend": rule(to("a", filters=Filters(authorization=HTTP))),
    "/either": rule(to("a", filters=Filters(authorization=HTTP)), to("a")),
    "/free": rule(to("a")),
}


@dataclass(frozen=True)
class Scene:
    port: int
    backend: Backend
    http: HttpAuthorizer
    grpc: GrpcAuthorizer


@pytest.fixture(scope="module", params=[False, True], ids=["gateway", "mesh"])
def scene(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    with backends("a") as real, http_authorizer() as http, grpc_authorizer() as grpc:
        made = front(web(host(*RULES.items())), mesh=request.param)
        ports = {"a": real["a"].port, "http": http.port, "grpc": grpc.port, "away": free_port()}
        with serving(image(services(ports), made), tmp_path_factory.mktemp("envoy")):
            yield Scene(made.port, real["a"], http, grpc)


PASS = {"X-Pass": "yes"}


@pytest.mark.parametrize("path", ["/http", "/grpc", "/own", "/backend", "/prefix", "/few", "/body"])
def test_who_is_permitted_and_who_is_not(scene: Scene, path: str) -> None:
    assert ask(scene.port, path, headers=PASS).status == 200
    before = len(scene.backend.seen)
    denied = ask(scene.port, path)
    assert denied.status == 403
    assert denied.body == ("not you" if path in ("/grpc", "/few") else "answer")
    assert denied.headers["x-identity"] == "ada"
    assert len(scene.backend.seen) == before


def test_a_redirect_is_guarded_too(scene: Scene) -> None:
    assert ask(scene.port, "/moved").status == 403
    assert ask(scene.port, "/moved", headers=PASS).status == 302


def test_of_several_backends_only_one_may_be_guarded(scene: Scene) -> None:
    statuses = {ask(scene.port, "/either").status for _ in range(40)}
    assert statuses == {200, 403}


def test_a_route_without_is_free(scene: Scene) -> None:
    assert ask(scene.port, "/free").status == 200


@pytest.mark.parametrize("path", ["/away", "/away-grpc", "/broken", "/broken-grpc"])
def test_no_answer_is_no_permission(scene: Scene, path: str) -> None:
    before = len(scene.backend.seen)
    assert ask(scene.port, path, headers=PASS).status == 503
    assert len(scene.backend.seen) == before


@pytest.mark.parametrize(
    ("path", "how"), [("/http", "wait"), ("/grpc", "wait"), ("/http", "error")]
)
def test_a_late_answer_and_an_error_are_no_permission(scene: Scene, path: str, how: str) -> None:
    before = len(scene.backend.seen)
    assert ask(scene.port, path, headers={"X-Pass": how}).status == 503
    assert len(scene.backend.seen) == before


def test_what_the_service_is_told_over_http(scene: Scene) -> None:
    headers = {**PASS, "X-Secret": "1", "Authorization": "Basic abc"}
    ask(scene.port, "/prefix/x?a=b", method="POST", body="data", headers=headers)
    seen = scene.http.seen[-1]
    assert (seen["method"], seen["path"], seen["body"]) == ("POST", "/check/prefix/x?a=b", "")
    told = seen["headers"]
    assert (told["host"], told["authorization"]) == ("a.example", "Basic abc")
    assert "x-secret" not in told
    assert told["content-length"] == "0"


def test_what_the_service_is_told_over_grpc(scene: Scene) -> None:
    ask(scene.port, "/grpc/x", headers={**PASS, "X-Secret": "1"})
    told = scene.grpc.seen[-1].attributes
    assert (told.request.http.path, told.request.http.headers["x-secret"]) == ("/grpc/x", "1")
    assert told.source.address.socket_address.address == "127.0.0.1"
    ask(scene.port, "/few", headers={**PASS, "X-Secret": "1"})
    assert "x-secret" not in scene.grpc.seen[-1].attributes.request.http.headers


def test_what_the_backend_is_told_of_the_answer(scene: Scene) -> None:
    seen = ask(scene.port, "/http", method="POST", body="data", headers=PASS).seen
    assert (seen["headers"]["x-identity"], seen["headers"]["x-other"]) == ("ada", "more")
    assert (seen["headers"]["host"], seen["body"]) == ("a.example", "data")
    seen = ask(scene.port, "/some", headers={**PASS, "X-Identity": "root"}).seen
    assert seen["headers"]["x-identity"] == "ada"
    assert "x-other" not in seen["headers"]
    assert ask(scene.port, "/grpc", headers=PASS).seen["headers"]["x-identity"] == "ada"


def test_a_body_is_shown_whole_or_the_request_is_refused(scene: Scene) -> None:
    answer = ask(scene.port, "/body", method="POST", body="0123456789", headers=PASS)
    assert (answer.status, answer.seen["body"]) == (200, "0123456789")
    assert scene.http.seen[-1]["body"] == "0123456789"
    before = len(scene.backend.seen)
    assert ask(scene.port, "/body", method="POST", body="0" * 11, headers=PASS).status == 413
    assert len(scene.backend.seen) == before
