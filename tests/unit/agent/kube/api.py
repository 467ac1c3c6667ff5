"""An API server in a dictionary, for those who write to one; tells what it was asked."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tulle.edges.kubernetes.errors import Conflict, NotFound
from tulle.model.kubernetes import ObjectRef

Json = dict[str, Any]
Query = Mapping[str, str | int]
_NONE: Query = {}


@dataclass(frozen=True)
class Resource:
    kind: str
    has_status: bool = True

    def path(self, namespace: str = "", name: str = "", sub: str = "") -> str:
        return "/".join([self.kind, *filter(None, (namespace, name, sub))])


def document(ref: ObjectRef, status: Json | None = None, uid: str = "u-1") -> Json:
    return {
        "apiVersion": "example.com/v1",
        "kind": ref.kind,
        "metadata": {"name": ref.name, "namespace": ref.namespace, "uid": uid},
        "spec": {"type": "LoadBalancer"},
        **({} if status is None else {"status": status}),
    }


@dataclass
class FakeApi:
    """`interfere` is called before each request, with its verb and path, and may raise."""

    interfere: Callable[[str, str], object] = lambda verb, path: None
    objects: dict[str, Json] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    version: int = 0
    events: dict[str, Json] = field(default_factory=dict)  # by their paths

    def has(self, *documents: Json) -> None:
        for item in documents:
            self._keep(copy.deepcopy(item))

    def status(self, ref: ObjectRef) -> Any:
        return self.objects[Resource(ref.kind).path(ref.namespace, ref.name)].get("status")

    def writes(self) -> list[str]:
        return [path for verb, path in self.asked if verb in ("apply", "merge", "create", "put")]

    async def get(self, path: str, query: Query = _NONE) -> bytes:
        _, _, name = str(query.get("fieldSelector", "")).partition("metadata.name=")
        await self._ask("get", f"{path}/{name}" if name else path)
        if not name:
            return msgspec.json.encode(self._find(path))
        found = self.objects.get(f"{path}/{name}")
        items = [{key: found[key] for key in found.keys() - {"apiVersion"}}] if found else []
        return msgspec.json.encode({"apiVersion": "example.com/v1", "items": items})

    async def list_pages(self, path: str, query: Query, limit: int = 500) -> AsyncIterator[bytes]:
        await self._ask("list", path)
        found = [item for name, item in self.objects.items() if name.startswith(f"{path}/")]
        for start in range(0, len(found), limit):
            items = [
                {key: value for key, value in item.items() if key not in ("apiVersion", "kind")}
                for item in found[start : start + limit]
            ]
            yield msgspec.json.encode({"apiVersion": "example.com/v1", "items": items})

    async def apply(
        self, path: str, body: bytes, manager: str, *, force: bool, query: Query = _NONE
    ) -> bytes:
        await self._ask("apply", path)
        assert (manager, force) == ("tulle", True)
        return self._change(path, msgspec.json.decode(body))

    async def merge_patch(self, path: str, body: bytes = b"", query: Query = _NONE) -> bytes:
        await self._ask("merge", path)
        assert query == {"fieldManager": "tulle"}
        if path in self.events:
            self.events[path] |= msgspec.json.decode(body)
            return b"{}"
        return self._change(path, msgspec.json.decode(body))

    async def create(self, path: str, body: bytes = b"", query: Query = _NONE) -> bytes:
        await self._ask("create", path)
        made = msgspec.json.decode(body)
        name = f"{path}/{made['metadata']['name']}"
        if name in self.events:
            raise Conflict(409, "AlreadyExists", name)
        self.events[name] = made
        return b"{}"

    async def _ask(self, verb: str, path: str) -> None:
        self.asked.append((verb, path))
        await asyncio.sleep(0)
        self.interfere(verb, path)

    def _find(self, path: str) -> Json:
        try:
            return self.objects[path]
        except KeyError:
            raise NotFound(404, "NotFound", path) from None

    def _change(self, path: str, body: Json) -> bytes:
        if not path.endswith("/status"):
            raise NotFound(404, "NotFound", path)
        found = self._find(path.removesuffix("/status"))
        for name in ("uid", "resourceVersion"):
            if name in body["metadata"] and body["metadata"][name] != found["metadata"][name]:
                raise Conflict(409, "Conflict", f"{name} is another")
        self._keep({**found, "status": {**found.get("status", {}), **body["status"]}})
        return b"{}"

    def _keep(self, item: Json) -> None:
        self.version += 1
        metadata = {**item["metadata"], "resourceVersion": str(self.version)}
        path = Resource(item["kind"]).path(metadata["namespace"], metadata["name"])
        self.objects[path] = {**item, "metadata": metadata}
