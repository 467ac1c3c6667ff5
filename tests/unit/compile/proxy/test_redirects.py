"""Where a redirect leads: GEP-726's rules of scheme and port, a row each."""

from __future__ import annotations

import pytest

from tulle.compile.proxy.redirects import redirect_of
from tulle.compile.proxy.targets import Scene
from tulle.model.routing import Redirect, RequestMatch

PLAIN, SECURE = Scene(80), Scene(443, tls=True)


@pytest.mark.parametrize(
    ("redirect", "scene", "port"),
    [
        (Redirect(), PLAIN, 0),
        (Redirect(), Scene(8080), 8080),
        (Redirect(), SECURE, 0),
        (Redirect(), Scene(8443, tls=True), 8443),
        (Redirect(), Scene(443), 443),
        (Redirect(), Scene(80, tls=True), 80),
        (Redirect(scheme="https"), PLAIN, 0),
        (Redirect(scheme="https"), Scene(8080), 0),
        (Redirect(scheme="http"), Scene(8443, tls=True), 0),
        (Redirect(port=8443), PLAIN, 8443),
        (Redirect(port=80), Scene(8080), 0),
        (Redirect(port=443), PLAIN, 443),
        (Redirect(scheme="https", port=443), PLAIN, 0),
        (Redirect(scheme="https", port=80), PLAIN, 80),
        (Redirect(scheme="http", port=443), SECURE, 443),
    ],
)
def test_the_port(redirect: Redirect, scene: Scene, port: int) -> None:
    assert redirect_of(redirect, RequestMatch(), "a.example", scene)["port_redirect"] == port


@pytest.mark.parametrize(
    ("hostname", "given", "expected"),
    [
        ("a.example", "", "a.example"),
        ("a.example", "b.example", "b.example"),
        ("*.example", "", ""),
        ("*", "b.example", "b.example"),
    ],
)
def test_the_host_is_named_without_the_port_that_a_client_put_there(
    hostname: str, given: str, expected: str
) -> None:
    made = redirect_of(Redirect(hostname=given), RequestMatch(), hostname, PLAIN)
    assert made["host_redirect"] == expected
