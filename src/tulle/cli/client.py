"""Speaks to a node's agent: HTTP and JSON over its unix socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

from tulle.errors import AgentDown, Broken, Refused, TulleError, Unavailable, UsageError
from tulle.model.paths import NodePaths

Json = dict[str, Any]
Params = Iterable[tuple[str, str]]
TIMEOUT_S = 120.0  # Pods may take their grace period to end
_ANSWERED = (200, 201, 422)  # 422: part of it was refused, and the answer says what


class Response:
    """An HTTP/1.0 answer: the body is all that follows until the agent closes.

    The standard library's client costs a quarter of a command's whole time (decisions/0005).
    """

    def __init__(self, stream: BinaryIO) -> None:
        version, _, rest = stream.readline().decode("latin-1").partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdecimal():
            raise ConnectionResetError("no HTTP answer")
        self.status = int(rest[:3])
        while stream.readline() not in (b"\r\n", b""):
            pass
        self.body = stream


class Agent:
    """One node's agent, which need not be up.

    Raises AgentDown if it is not, Unavailable if it cannot answer now, Refused or Broken if it
    says no.
    """

    def __init__(self, paths: NodePaths) -> None:
        self.paths = paths

    def get(self, path: str, timeout_s: float = TIMEOUT_S) -> Json:
        with self._request("GET", path, None, timeout_s) as response:
            return _body(response)

    def post(self, path: str, body: Json | bytes | None = None, params: Params = ()) -> Json:
        raw = json.dumps(body).encode() if isinstance(body, Mapping) else body
        with self._request("POST", _target(path, params), raw, TIMEOUT_S) as response:
            return _body(response)

    def delete(self, path: str) -> Json:
        with self._request("DELETE", path, None, TIMEOUT_S) as response:
            return _body(response)

    def stream(self, path: str, params: Params) -> Iterator[Json]:
        """The values of an NDJSON answer as they come, for as long as they come."""
        with self._request("GET", _target(path, params), None, None) as response:
            if response.status != 200:
                _body(response)
            for line in response.body:
                yield json.loads(line)

    @contextmanager
    def _request(
        self, method: str, target: str, body: bytes | None, timeout_s: float | None
    ) -> Iterator[Response]:
        content = body or b""
        head = f"{method} {target} HTTP/1.0\r\nContent-Length: {len(content)}\r\n\r\n"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            try:
                connection.connect(str(self.paths.socket))
                connection.sendall(head.encode() + content)
                with connection.makefile("rb") as stream:
                    yield Response(stream)
            except OSError as error:
                raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> TulleError:
        node, path = self.paths.node, self.paths.socket
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            start = "tulle up" if self.paths.netns is None else f"tulle lab up {node}"
            return AgentDown(f"no agent for node {node!r} ({path}): start it with `{start}`")
        if isinstance(error, PermissionError):
            return Refused(f"{path}: permission denied: the agent answers its own user only")
        if isinstance(error, TimeoutError):
            return Unavailable(f"the agent of node {node!r} does not answer")
        return AgentDown(f"the agent of node {node!r} went away while it answered")


def workload_path(namespace: str, name: str) -> str:
    return f"/v1/workloads/{quote(namespace, safe='')}/{quote(name, safe='')}"


def _target(path: str, params: Params) -> str:
    query = urlencode(list(params))
    return f"{path}?{query}" if query else path


def _body(response: Response) -> Json:
    raw = response.body.read()
    try:
        value = json.loads(raw)
    except ValueError:
        raise Broken(f"the agent answered {response.status} and no JSON") from None
    if response.status in _ANSWERED:
        return dict(value)
    reason = str(value.get("error", f"the agent answered {response.status}"))
    if response.status == 503:
        raise Unavailable(reason)
    if response.status < 500:
        raise UsageError(reason) if value.get("usage") else Refused(reason)
    raise Broken(reason)
