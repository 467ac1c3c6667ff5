"""Objects of one cluster: applied, deleted and waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.discovery import Discovered
from tulle.edges.kubernetes.errors import ApiError, NotFound
from tulle.errors import Refused, Unavailable

Json = dict[str, Any]
Say = Callable[[str], object]

FIELD_MANAGER = "tulle-install"
_MAKING = ("DaemonSet", "Deployment")
_POLL_S = 1.0
_ONE_MISSES = 3  # polls without an answer that are no reason to give up


class Cluster:
    """`say` is told of each thing that happens."""

    def __init__(self, client: Client, discovered: Discovered, say: Say) -> None:
        self.client, self.discovered, self.say = client, discovered, say

    @property
    def apis(self) -> frozenset[str]:
        return frozenset(version for version, _ in self.discovered.resources)

    def path(self, obj: Json) -> str:
        """Raises Refused if the API server does not know the kind."""
        version, kind = obj["apiVersion"], obj["kind"]
        resource = self.discovered.choose(kind, [version])
        if resource is None:
            raise Refused(f"{title(obj)}: the API server has no {kind} in {version}")
        meta = obj["metadata"]
        return resource.path(meta.get("namespace", ""), meta["name"])

    async def get(self, obj: Json) -> Json | None:
        try:
            return decoded(await self.client.get(self.path(obj)))
        except NotFound:
            return None

    async def apply(self, obj: Json, *, dry: bool = False) -> None:
        """Raises Refused or ApiError, which name the object."""
        query = {"dryRun": "All"} if dry else {}
        body = msgspec.json.encode(obj)
        path = self.path(obj)
        try:
            await self.client.apply(path, body, FIELD_MANAGER, force=True, query=query)
        except ApiError as error:
            raise Refused(f"{title(obj)}: {error}") from error
        if not dry:
            self.say(f"applied {title(obj)}")

    async def delete(self, obj: Json) -> None:
        """With what it made, and then it is gone last. One that is gone already is no error."""
        way = "Foreground" if obj["kind"] in _MAKING else "Background"
        body = msgspec.json.encode({"propagationPolicy": way})
        try:
            await self.client.delete(self.path(obj), body)
        except NotFound:
            return
        except ApiError as error:
            raise Refused(f"{title(obj)}: {error}") from error
        self.say(f"deleted {title(obj)}")

    async def gone(self, objects: Iterable[Json], deadline_s: float) -> None:
        for obj in objects:
            await self._until(obj, _absent, deadline_s)

    async def ready(self, objects: Sequence[Json], deadline_s: float) -> None:
        """Until definitions are known and every pod is of the newest kind and ready.

        Raises Unavailable, which says what is missing, when the clock says `deadline_s`.
        """
        for obj in objects:
            if obj["kind"] in _MISSING:
                await self._until(obj, _MISSING[obj["kind"]], deadline_s)

    async def _until(self, obj: Json, missing: Callable[[Json | None], str], at_s: float) -> None:
        told, failed = "", 0
        while True:
            try:
                lacks, failed = missing(await self.get(obj)), 0
            except Unavailable as error:
                failed += 1
                if failed > _ONE_MISSES:
                    raise
                lacks = str(error)
            if not lacks:
                return
            if lacks != told:
                self.say(f"waiting for {title(obj)}: {lacks}")
                told = lacks
            if time.monotonic() > at_s:
                raise Unavailable(f"{title(obj)}: {lacks}, and the time is up")
            await asyncio.sleep(_POLL_S)


def title(obj: Json) -> str:
    """
    >>> title({"kind": "Role", "metadata": {"name": "a", "namespace": "b"}})
    'Role b/a'
    """
    meta = obj["metadata"]
    namespace = meta.get("namespace", "")
    return (
        f"{obj['kind']} {namespace}/{meta['name']}"
        if namespace
        else f"{obj['kind']} {meta['name']}"
    )


def decoded(body: bytes) -> Json:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unavailable(f"API server: what it answers cannot be read: {error}") from error


def _absent(have: Json | None) -> str:
    return "not gone yet" if have else ""


def _undefined(have: Json | None) -> str:
    for condition in _part(have, "status").get("conditions") or []:
        if condition.get("type") == "Established" and condition.get("status") == "True":
            return ""
    return "not established"


def daemons_lack(have: Json | None) -> str:
    """What keeps a DaemonSet from being rolled out."""
    if have is None:
        return "not there"
    status = _part(have, "status")
    if _is_old(have):
        return "not seen by its controller"
    wanted = _number(status, "desiredNumberScheduled")
    updated, ready = _number(status, "updatedNumberScheduled"), _number(status, "numberAvailable")
    if updated < wanted:
        return f"{updated} of {wanted} nodes have the new version"
    return f"ready on {ready} of {wanted} nodes" if ready < wanted else ""


def replicas_lack(have: Json | None) -> str:
    """What keeps a Deployment from being rolled out."""
    if have is None:
        return "not there"
    status, wanted = _part(have, "status"), _number(_part(have, "spec"), "replicas")
    if _is_old(have):
        return "not seen by its controller"
    updated, ready = _number(status, "updatedReplicas"), _number(status, "availableReplicas")
    if updated < wanted or _number(status, "replicas") > updated:
        return f"{updated} of {wanted} have the new version"
    return f"{ready} of {wanted} are ready" if ready < wanted else ""


_MISSING: dict[str, Callable[[Json | None], str]] = {
    "CustomResourceDefinition": _undefined,
    "DaemonSet": daemons_lack,
    "Deployment": replicas_lack,
}


def _is_old(have: Json) -> bool:
    seen = _number(_part(have, "status"), "observedGeneration")
    return seen < _number(_part(have, "metadata"), "generation")


def _part(have: Json | None, name: str) -> Json:
    found = (have or {}).get(name)
    return found if isinstance(found, dict) else {}


def _number(part: Json, name: str) -> int:
    found = part.get(name)
    return found if isinstance(found, int) else 0
