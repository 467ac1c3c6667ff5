"""What a server says becomes an error that tells what to do."""

from __future__ import annotations

import pytest

from tulle.edges.kubernetes.errors import (
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    error_of,
    error_of_event,
)
from tulle.errors import Unavailable


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (410, Gone),
        (422, Invalid),
        (429, ApiError),
        (503, ApiError),
    ],
)
def test_the_class_is_the_status(status: int, kind: type[ApiError]) -> None:
    error = error_of(status, b'{"reason": "Because", "message": "so it is"}')
    assert type(error) is kind
    assert isinstance(error, Unavailable)
    assert str(error) == f"API server: {status} Because: so it is"


def test_a_body_can_be_anything() -> None:
    assert str(error_of(502, b"<html>bad\x1b[31m gateway\xff")).endswith(
        "502: <html>bad\\u001b[31m gateway�"
    )
    assert len(error_of(500, b"x" * 100_000).message) == 1024
    assert len(error_of(500, b'{"message": "' + b"x" * 100_000 + b'"}').message) == 1024
    assert error_of(500, b"").message == ""
    assert error_of(500, b'{"reason": null, "details": null}').reason == ""


def test_when_to_come_again() -> None:
    assert error_of(429, b"{}", "7").retry_after_s == 7
    assert error_of(429, b'{"details": {"retryAfterSeconds": 3}}', "7").retry_after_s == 3
    assert error_of(429, b"{}").retry_after_s == 0
    assert error_of(429, b"{}", "Wed, 21 Oct 2015 07:28:00 GMT").retry_after_s == 0
    assert error_of(429, b"{}", "999999999").retry_after_s == 300, "nobody is to stop us for good"


def test_an_event_bears_the_status() -> None:
    assert type(error_of_event(b'{"kind": "Status", "code": 410}')) is Gone
    assert error_of_event(b'{"kind": "Status"}').status == 500
    assert error_of_event(b"[]").status == 500
