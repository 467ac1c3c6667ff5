"""An API server in memory: lists in pages, watches from a log, server-side apply as a merge.

`async with FakeServer() as server` listens on 127.0.0.1. Objects come and go by HTTP, or directly
by `put` and `remove`. What it does wrong, it does on request: `fail`, `compact`, `cut`, `say`.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from aiohttp import web

from tests.unit.edges.kubernetes.registry import SERVED, Json, Refusal, Registry, matches
from tulle.edges.kubernetes.config import Access
from tulle.edges.kubernetes.discovery import Resource


class Request(NamedTuple):
    """As the server got it. Writes are the requests whose method is not GET."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    headers: Mapping[str, str]


@dataclass
class _Failure:
    method: str
    path: str  # prefix
    status: int
    reason: str
    headers: Mapping[str, str]
    times: int
    watch: bool | None


def status(code: int, reason: str, message: str = "") -> Json:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


@dataclass(eq=False)
class _Watch:
    resource: Resource
    query: Mapping[str, str]
    namespace: str
    lines: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    transport: asyncio.Transport | None = None


class FakeServer(Registry):
    """`minor` is what it says of its version; below 34 it has no WatchList."""

    def __init__(self, served: Iterable[Resource] = SERVED, minor: int = 20) -> None:
        super().__init__(served)
        self.minor = minor
        self.requests: list[Request] = []
        self.token = ""  # if set, requests need it
        self.delay_s = 0.0  # before each answer
        self.watched = 0  # watches that have begun, ever
        self.port = 0  # chosen at the first start, and kept
        self._watches: list[_Watch] = []
        self._failures: deque[_Failure] = deque()
        self._runner: web.AppRunner | None = None

    # --- for tests ---

    @property
    def access(self) -> Access:
        return Access(f"http://127.0.0.1:{self.port}")

    async def __aenter__(self) -> FakeServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        app = web.Application(client_max_size=8 << 20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """As killed: connections break. What it knows is kept for the next `start`."""
        self.cut()
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    @property
    def writes(self) -> list[Request]:
        return [request for request in self.requests if request.method != "GET"]

    @property
    def watching(self) -> int:
        return len(self._watches)

    def fail(
        self,
        code: int,
        reason: str = "",
        *,
        method: str = "GET",
        path: str = "/",
        times: int = 1,
        headers: Mapping[str, str] = {},
        watch: bool | None = None,
    ) -> None:
        """Answer so to the next `times` requests; `watch` tells watches and others apart."""
        self._failures.append(_Failure(method, path, code, reason, headers, times, watch))

    def cut(self) -> None:
        """All watches break off."""
        for watch in self._watches:
            if watch.transport:
                watch.transport.abort()
            watch.lines.put_nowait(None)

    def end(self) -> None:
        """All watches end in good order."""
        for watch in self._watches:
            watch.lines.put_nowait(None)

    def bookmark(self) -> None:
        for watch in self._watches:
            self.say(self._bookmark(watch.resource), watch=watch)

    def say(self, event: Json | bytes, watch: Any = None) -> None:
        """To all watches, or one of them, whatever it is."""
        line = event if isinstance(event, bytes) else json.dumps(event).encode()
        for each in [watch] if watch else self._watches:
            each.lines.put_nowait(line + b"\n")

    # --- HTTP ---

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        query = dict(parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True))
        self.requests.append(
            Request(request.method, request.path, query, body, dict(request.headers))
        )
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        try:
            if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
                raise Refusal(401, "Unauthorized", "no token that is known")
            if failed := self._failure(request.method, request.path, "watch" in query):
                return failed
            return await self._answer(request, query, body)
        except Refusal as refusal:
            said = status(refusal.status, refusal.reason, refusal.message)
            return web.json_response(said, status=refusal.status)

    def _failure(self, method: str, path: str, watch: bool) -> web.Response | None:
        for failure in self._failures:
            is_meant = failure.method == method and path.startswith(failure.path)
            if is_meant and failure.watch in (None, watch):
                failure.times -= 1
                if failure.times <= 0:
                    self._failures.remove(failure)
                said = status(failure.status, failure.reason, "as the test asked for")
                return web.json_response(said, status=failure.status, headers=failure.headers)
        return None

    async def _answer(
        self, request: web.Request, query: dict[str, str], body: bytes
    ) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        if (found := self._discovery(parts)) is not None:
            return web.json_response(found)
        resource, namespace, name, sub = self._place(parts)
        if request.method == "GET" and not name:
            if query.get("watch") == "true":
                return await self._watch(request, resource, namespace, query)
            return web.json_response(self.list_of(resource, namespace, query))
        is_apply = "apply-patch" in request.headers.get("Content-Type", "")
        key = (namespace, name)
        return web.json_response(
            self.change(request.method, is_apply, resource, key, sub, query, body)
        )

    def _discovery(self, parts: Sequence[str]) -> Json | None:
        if parts == ["readyz"]:
            return {}
        if parts == ["version"]:
            return {"major": "1", "minor": f"{self.minor}+", "gitVersion": f"v1.{self.minor}.0"}
        if parts == ["apis"]:
            groups: dict[str, list[str]] = {}
            for each in self.served:
                if each.group and each.version not in groups.setdefault(each.group, []):
                    groups[each.group].append(each.version)
            listed = [
                {"name": g, "versions": [{"groupVersion": f"{g}/{v}", "version": v} for v in vs]}
                for g, vs in groups.items()
            ]
            return {"kind": "APIGroupList", "groups": listed}
        kinds = [each for each in self.served if each.path().split("/")[1:-1] == parts]
        return {"kind": "APIResourceList", "resources": list(_kinds(kinds))} if kinds else None

    def _place(self, parts: list[str]) -> tuple[Resource, str, str, str]:
        for each in self.served:
            root = each.path().split("/")[1:-1]
            rest = parts[len(root) :]
            if parts[: len(root)] != root:
                continue
            namespace = ""
            if each.namespaced and len(rest) > 2 and rest[0] == "namespaces":
                namespace, rest = rest[1], rest[2:]
            is_way = each.kind == "Namespace" and len(rest) > 2 and rest[2] != "status"
            if rest and rest[0] == each.plural and not is_way:
                name, sub = [*rest[1:], "", ""][:2]
                return each, namespace, name, sub
        raise Refusal(404, "NotFound", "the server could not find the requested resource")

    async def _watch(
        self, request: web.Request, resource: Resource, namespace: str, query: Mapping[str, str]
    ) -> web.StreamResponse:
        watch = _Watch(resource, query, namespace)
        self._prime(watch)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        watch.transport = request.transport
        self._watches.append(watch)
        self.watched += 1
        try:
            async with asyncio.timeout(float(query.get("timeoutSeconds", 300))):
                while (line := await watch.lines.get()) is not None:
                    await response.write(line)
        except (TimeoutError, ConnectionError):
            pass
        finally:
            self._watches.remove(watch)
        return response

    def _prime(self, watch: _Watch) -> None:
        """What the watch begins with: all that is there, or what was since its version."""
        query, resource = watch.query, watch.resource
        if "sendInitialEvents" in query:
            if self.minor < 34:
                raise Refusal(422, "Invalid", "sendInitialEvents is forbidden for watch")
            for obj in self.selected(resource, watch.namespace, query):
                self.say({"type": "ADDED", "object": obj}, watch=watch)
            self.say(self._bookmark(resource, ends=True), watch=watch)
            return
        since = int(query.get("resourceVersion") or self.version)
        if since < self._compacted:
            gone = status(410, "Expired", f"too old resource version: {since}")
            self.say({"type": "ERROR", "object": gone}, watch=watch)
            watch.lines.put_nowait(None)
            return
        for version, kind, changed, obj, before in self._log:
            if version > since and changed == resource:
                self._tell_one(watch, kind, obj, before)

    def _bookmark(self, resource: Resource, ends: bool = False) -> Json:
        meta: Json = {"resourceVersion": str(self.version), "creationTimestamp": None}
        if ends:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        empty = {"kind": resource.kind, "apiVersion": resource.group_version}
        spec = {"containers": None}
        return {"type": "BOOKMARK", "object": {**empty, "metadata": meta, "spec": spec}}

    def told(self, kind: str, resource: Resource, obj: Json, before: Json | None) -> None:
        for watch in self._watches:
            if watch.resource == resource:
                self._tell_one(watch, kind, obj, before)

    def _tell_one(self, watch: _Watch, kind: str, obj: Json, before: Json | None) -> None:
        if watch.namespace not in ("", obj["metadata"].get("namespace", "")):
            return
        if matches(obj, watch.query):
            self.say({"type": kind, "object": obj}, watch=watch)
        elif before is not None and matches(before, watch.query):
            self.say({"type": "DELETED", "object": obj}, watch=watch)


def _kinds(resources: Iterable[Resource]) -> Iterable[Json]:
    for each in resources:
        verbs = sorted(each.verbs or {"get", "list", "watch", "create", "patch", "update"})
        base = {"kind": each.kind, "namespaced": each.namespaced}
        yield {**base, "name": each.plural, "verbs": verbs}
        if each.has_status:
            yield {**base, "name": f"{each.plural}/status", "verbs": ["get", "patch", "update"]}
