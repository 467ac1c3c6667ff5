"""What the kernel would answer with 400."""

from __future__ import annotations

import pytest

from tests.unit.compile.explain.request_rows import request
from tulle.compile.explain.kernel_requests import unreadable


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("GET /a/b%20c?x=[1]&y=/../ host=a.test:80", ""),
        ("X" * 15 + " /", ""),
        ("X" * 16 + " /", "its method"),
        ("G(T /", "its method"),
        ("GET /a/../b", "its path"),
        ("GET /%41", "its path"),
        ("GET //a", "its path"),
        ("GET /a%2fb", "its path"),
        ("GET /{a}", "its path"),
        ("GET /a[1]", "its path"),
        ("GET /a#b", "its path"),
        ("GET a", "its path"),
        ("GET / host=", "its host"),
        ("GET / host=a,b", "its host"),
        ("GET / x-a=1 X_Other=2 content-length=5", ""),
        ("GET / X_Role=1", "the header 'X_Role'"),
        ("GET / content_length=5", "the header 'content_length'"),
        ("GET / =a", "the header ''"),
        ("GET / a=\x00", "the header 'a'"),
        ("GET / Host=b", "the header 'Host'"),
        ("GET / content-length=+5", "the header 'content-length'"),
        ("GET / content-length=5 Content-Length=5", "the header 'Content-Length'"),
        ("GET / transfer-encoding=gzip", "the header 'transfer-encoding'"),
        ("GET / transfer-encoding=Chunked", ""),
        ("GET / transfer-encoding=chunked content-length=0", "its length"),
        ("GET / upgrade=h2c", "the header 'upgrade'"),
        ("GET / upgrade=WebSocket content-length=0", ""),
        ("GET / upgrade=websocket content-length=1", "its upgrade"),
        ("GET / x-a=" + "a" * 8100, ""),
        ("GET / x-a=" + "a" * 8192, "its length: more than 8192 bytes"),
    ],
)
def test_what_could_be_read_in_two_ways(text: str, what: str) -> None:
    assert unreadable(request(text), {"x-role"}) == what
