"""One HTTP request, and what came of it."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def seen(self) -> dict[str, Any]:
        """What the backend saw."""
        told: dict[str, Any] = json.loads(self.body)
        return told

    @property
    def backend(self) -> str:
        return self.headers.get("x-backend", "")


def ask(
    port: int,
    path: str = "/",
    host: str = "a.example",
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    tls: ssl.SSLContext | None = None,
    sni: str = "",
    source: str = "127.0.0.1",
) -> Answer:
    """Over a connection of its own. Raises OSError or HTTPException if there is no answer."""
    from_source = (source, 0)
    connection = http.client.HTTPConnection(
        "127.0.0.1", port, timeout=10, source_address=from_source
    )
    if tls is not None:
        plain = socket.create_connection(("127.0.0.1", port), 10, from_source)
        connection.sock = tls.wrap_socket(plain, server_hostname=sni or host)
    try:
        connection.request(method, path, body, {"Host": host, **(headers or {})})
        response = connection.getresponse()
        text = response.read().decode()
        found: dict[str, str] = {}
        for name, value in response.getheaders():
            known = found.get(name.lower())
            found[name.lower()] = f"{known},{value}" if known else value
        return Answer(response.status, found, text)
    finally:
        connection.close()
