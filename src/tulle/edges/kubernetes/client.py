"""Requests to an API server. It knows paths and bytes, no kinds.

All of them raise ApiError for an answer that is no success, and Unavailable for none.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import aiohttp
from yarl import URL

from tulle.errors import Broken, Unavailable, printable

from .config import Access
from .errors import MESSAGE_CHARS, error_of
from .tls import context_of
from .wire import Lines, read_rest

Query = Mapping[str, str | int]
MakeSocket = Callable[[int, int, int], socket.socket]  # family, type, protocol

PAGE = 500
_SPARE_LISTS = 4  # a page of a large list takes longer than an object
_JSON = "application/json"
_NONE: Query = {}


class Client:
    """One server, as one identity."""

    def __init__(
        self,
        access: Access,
        *,
        make_socket: MakeSocket | None = None,
        timeout_s: float = 30.0,
        agent: str = "tulle",
    ) -> None:
        """`make_socket` decides the network namespace. Raises Refused for bad certificates."""
        self.server = access.server
        self._access = access
        self._timeout_s = timeout_s
        self._make_socket = make_socket or socket.socket
        self._tls = context_of(access) if access.server.startswith("https:") else None
        self._headers = {"Accept": _JSON, "Accept-Encoding": "gzip", "User-Agent": agent}
        self._token, self._token_stamp = access.token, (0, 0)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str, query: Query = _NONE) -> bytes:
        return await self._ask("GET", path, query)

    async def list_pages(self, path: str, query: Query, limit: int = PAGE) -> AsyncIterator[bytes]:
        """Lists of at most `limit` objects, 0: all in one. Raises Gone if reading took too long."""
        rest = ""
        while True:
            paging: dict[str, str | int] = {"limit": limit} if limit else {}
            if rest:
                paging["continue"] = rest
            body = await self._ask("GET", path, {**query, **paging}, spare=_SPARE_LISTS)
            rest = read_rest(body)
            yield body
            if not rest:
                return

    @asynccontextmanager
    async def stream(self, path: str, query: Query) -> AsyncIterator[AsyncIterator[bytes]]:
        """Lines of a watch, from when the server has accepted it until it ends it.

        A connection whose other end is gone is found by the kernel's probes; beyond that no answer
        may last longer than the `timeoutSeconds` that it was asked with.
        """
        wait_s = float(query.get("timeoutSeconds", 300)) + self._timeout_s
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout_s, sock_read=wait_s)
        async with AsyncExitStack() as stack:
            with self._told():
                request = self._request("GET", path, {**query, "watch": "true"}, timeout=timeout)
                response = await stack.enter_async_context(request)
                await _check(response)
            yield self._lines(response)

    async def apply(
        self, path: str, body: bytes, manager: str, *, force: bool, query: Query = _NONE
    ) -> bytes:
        """Server-side apply; `force` takes fields that others manage, else that is a Conflict."""
        words = {**query, "fieldManager": manager, "force": "true" if force else "false"}
        kind = "application/apply-patch+yaml"  # JSON is YAML
        return await self._ask("PATCH", path, words, body=body, kind=kind)

    async def put(self, path: str, body: bytes = b"", query: Query = _NONE) -> bytes:
        return await self._ask("PUT", path, query, body=body)

    async def merge_patch(self, path: str, body: bytes = b"", query: Query = _NONE) -> bytes:
        kind = "application/merge-patch+json"
        return await self._ask("PATCH", path, query, body=body, kind=kind)

    async def create(self, path: str, body: bytes = b"", query: Query = _NONE) -> bytes:
        return await self._ask("POST", path, query, body=body)

    async def delete(self, path: str, body: bytes = b"", query: Query = _NONE) -> bytes:
        return await self._ask("DELETE", path, query, body=body)

    async def close(self) -> None:
        if self._session:
            await self._session.close()
            self._session = None

    async def _ask(
        self,
        method: str,
        path: str,
        query: Query,
        *,
        body: bytes = b"",
        kind: str = _JSON,
        spare: int = 1,
    ) -> bytes:
        timeout = aiohttp.ClientTimeout(total=self._timeout_s * spare, sock_connect=self._timeout_s)
        extra: dict[str, Any] = {"timeout": timeout}
        if body:
            extra |= {"data": body, "headers": {"Content-Type": kind}}
        with self._told():
            async with self._request(method, path, query, **extra) as response:
                await _check(response)
                content: bytes = await response.read()
                return content

    def _request(
        self, method: str, path: str, query: Query, headers: Mapping[str, str] = {}, **extra: Any
    ) -> Any:
        url = URL(self.server + path, encoded=True).with_query(dict(query) or None)
        named = {**self._headers, **headers, **self._authorization()}
        if self._access.server_name:
            extra["server_hostname"] = self._access.server_name
        return self._open().request(method, url, headers=named, allow_redirects=False, **extra)

    def _authorization(self) -> dict[str, str]:
        """With the token as it is now: it is replaced before it runs out."""
        if file := self._access.token_file:
            try:
                found = file.stat()
                stamp = (found.st_mtime_ns, found.st_ino)
                if stamp != self._token_stamp:
                    self._token, self._token_stamp = file.read_text().strip(), stamp
            except (OSError, UnicodeDecodeError) as error:
                raise Unavailable(f"{file}: cannot be read, so no API server is asked") from error
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:  # made in the loop that uses it
            connector = aiohttp.TCPConnector(
                limit=0,  # each watch is a connection
                ssl=self._tls if self._tls else True,
                socket_factory=self._socket,
            )
            self._session = aiohttp.ClientSession(connector=connector, trust_env=False)
        return self._session

    def _socket(self, info: Any) -> socket.socket:
        try:
            made = self._make_socket(info[0], info[1], info[2])
        except Broken as error:  # to aiohttp all that fails in making a connection is an OSError
            raise OSError(errno.EIO, str(error)) from error
        # Half a minute after the other end has vanished without a word, so has the connection.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000)
        return made

    async def _lines(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        lines = Lines()
        with self._told():
            async for piece in response.content.iter_any():
                for line in lines.feed(piece):
                    yield line

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What goes wrong on the way is told in the words of the error tree."""
        try:
            yield
        except TimeoutError as error:
            raise Unavailable(f"API server {self.server}: no answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"API server {self.server}: {_words(error)}") from error


def _words(error: Exception) -> str:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    words = cause.strerror if isinstance(cause, OSError) else None
    return printable(words or str(cause) or type(cause).__name__)


async def _check(response: aiohttp.ClientResponse) -> None:
    if response.status < 200 or response.status > 299:
        body = await response.content.read(64 * MESSAGE_CHARS)
        raise error_of(response.status, body, response.headers.get("Retry-After", ""))
