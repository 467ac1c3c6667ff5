"""What ports are said to speak."""

from __future__ import annotations

import pytest

from tulle.compile.app_protocols import unread


@pytest.mark.parametrize(
    ("app_protocol", "name", "spoken", "why"),
    [
        ("grpc", "", "HTTP/2", "appProtocol grpc"),
        ("kubernetes.io/h2c", "", "HTTP/2", "appProtocol kubernetes.io/h2c"),
        ("HTTP2", "http", "HTTP/2", "appProtocol HTTP2"),
        ("https", "", "TLS", "appProtocol https"),
        ("kubernetes.io/wss", "", "TLS", "appProtocol kubernetes.io/wss"),
        ("", "grpc", "HTTP/2", "the name grpc"),
        ("", "grpc-api", "HTTP/2", "the name grpc-api"),
        ("", "http2-api", "HTTP/2", "the name http2-api"),
        ("", "h2c", "HTTP/2", "the name h2c"),
        ("", "https-api", "TLS", "the name https-api"),
        ("", "grpcapi", "", ""),
        ("", "http", "", ""),
        ("http", "grpc", "", ""),
        ("kubernetes.io/ws", "", "", ""),
        ("example.com/own", "grpc", "", ""),
    ],
)
def test_what_is_not_http_1_to_read(app_protocol: str, name: str, spoken: str, why: str) -> None:
    assert unread(app_protocol, name) == (spoken, why)
