"""Rows of HTTPRoute's timeouts and retries, and of what its backends speak."""

from __future__ import annotations

from uuid import uuid4

from tests.e2e.conformance.table import Row, ask, http, says

ONE = "[{name: one, port: 80}]"


def flaky(times: int) -> str:
    """A path that fails so many times, and nobody has asked before."""
    return f"/flaky/{times}/{uuid4().hex}"


TIMES = (
    http(
        "HTTPRouteRequestTimeout",
        "a request that takes too long is answered with 504; 0s is no limit",
        f"""
        - matches: [{{path: {{value: /delay}}}}]
          timeouts: {{request: 500ms}}
          backendRefs: {ONE}
        - matches: [{{path: {{value: /}}}}]
          timeouts: {{request: 0s}}
          backendRefs: {ONE}
        """,
        ask("/delay/0", says(backend="one")),
        ask("/delay/2", says(status=504, at_least_s=0.4, at_most_s=1.5)),
        ask("/", says(backend="one")),
    ),
    http(
        "HTTPRouteBackendTimeout",
        "a try that takes too long is answered with 504",
        f"""
        - timeouts: {{request: 2s, backendRequest: 500ms}}
          backendRefs: {ONE}
        """,
        ask("/delay/0", says(backend="one")),
        ask("/delay/1.5", says(status=504, at_least_s=0.4, at_most_s=1.2)),
    ),
)
RETRIES = (
    http(
        "HTTPRouteRetry",
        "what a backend answers with one of these codes is asked again, so many times",
        f"""
        - retry: {{codes: [503], attempts: 2, backoff: 10ms}}
          backendRefs: {ONE}
        """,
        ask(flaky(2), says(backend="one")),
        ask("/status/500", says(status=500)),
        ask("/status/503", says(status=503)),
    ),
    http(
        "HTTPRouteRetryBackendTimeout",
        "a try that takes too long is asked again",
        f"""
        - retry: {{codes: [504], attempts: 2, backoff: 10ms}}
          timeouts: {{request: 3s, backendRequest: 300ms}}
          backendRefs: {ONE}
        """,
        ask("/delay/2", says(status=504, at_least_s=0.8, at_most_s=2.0)),
        ask("/", says(backend="one")),
    ),
    http(
        "HTTPRouteRetryConnectionError",
        "a backend that refuses connections is asked again, and another one answers",
        """
        - retry: {attempts: 8, backoff: 10ms}
          backendRefs: [{name: mixed, port: 80}]
        """,
        ask("/", says(backend="five"), count=40),
    ),
)
PROTOCOLS = (
    http(
        "HTTPRouteBackendProtocolH2C",
        "a backend with appProtocol kubernetes.io/h2c is spoken to in HTTP/2",
        """
        - {backendRefs: [{name: one, port: 81}]}
        """,
        ask("/x", says(backend="one", protocol="HTTP/2", path="/x")),
    ),
    http(
        "HTTPRouteBackendProtocolWebSocket",
        "a connection is upgraded to WebSocket through a backend with kubernetes.io/ws",
        """
        - {backendRefs: [{name: one, port: 82}]}
        """,
        ask("/ws", says(status=101, body="one hello"), via="websocket"),
        ask("/", says(backend="one")),
    ),
)

ROWS: tuple[Row, ...] = TIMES + RETRIES + PROTOCOLS
