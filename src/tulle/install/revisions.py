"""What was installed before, each in a ConfigMap: the way back, and what is to be pruned."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from tulle.edges.kubernetes.errors import Conflict, NotFound
from tulle.errors import Broken

from .cluster import Cluster, Json, decoded
from .metadata import MANAGED_BY, NAME, PART_OF

# reverted: it failed, and the one before is in force again
State = Literal["rolling", "deployed", "failed", "reverted"]

_LABEL = "tulle.io/revision"
_KEPT = 5
_MAX_BYTES = 8 << 20
_CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap"}


@dataclass(frozen=True, slots=True)
class Revision:
    number: int
    version: str
    state: State
    values: Mapping[str, Any] = field(default_factory=dict)  # those that were given, by path
    objects: tuple[Json, ...] = ()


class Revisions:
    """Those of the installation in `namespace`."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace

    async def all(self) -> list[Revision]:
        """The newest last."""
        client = self._cluster.client
        path = self._cluster.path(self._named("x")).rpartition("/")[0]
        try:
            body = await client.get(path, {"labelSelector": _LABEL})
        except NotFound:
            return []
        found = [_read(item) for item in decoded(body).get("items") or []]
        return sorted(found, key=lambda item: item.number)

    async def keep(self, revision: Revision) -> None:
        await self._cluster.apply(self._written(revision))

    async def claim(self, revision: Revision) -> None:
        """As `keep`, but fails with Conflict if somebody else is at the same number."""
        obj = self._written(revision)
        path = self._cluster.path(obj).rpartition("/")[0]
        try:
            await self._cluster.client.create(path, msgspec.json.encode(obj))
        except Conflict as error:
            raise Conflict(409, "", "another installation is under way") from error

    async def forget_old(self) -> None:
        """All but the newest, and those two that were deployed last: one is the way back."""
        found = await self.all()
        deployed = [revision for revision in found if revision.state == "deployed"][-2:]
        for revision in found[:-_KEPT]:
            if revision not in deployed:
                await self._cluster.delete(self._named(str(revision.number)))

    async def forget_all(self) -> None:
        for revision in await self.all():
            await self._cluster.delete(self._named(str(revision.number)))

    def _named(self, number: str) -> Json:
        return {
            **_CONFIG_MAP,
            "metadata": {"name": f"tulle-revision-{number}", "namespace": self._namespace},
        }

    def _written(self, revision: Revision) -> Json:
        obj = self._named(str(revision.number))
        labels = {PART_OF: NAME, MANAGED_BY: NAME, _LABEL: str(revision.number)}
        packed = gzip.compress(msgspec.json.encode(list(revision.objects)), mtime=0)
        return {
            **obj,
            "metadata": {**obj["metadata"], "labels": labels},
            "data": {
                "version": revision.version,
                "state": revision.state,
                "values": msgspec.json.encode(dict(revision.values)).decode(),
            },
            "binaryData": {"objects": base64.b64encode(packed).decode()},
        }


def _read(obj: Json) -> Revision:
    name = obj["metadata"]["name"]
    try:
        data = obj["data"]
        packed = gzip.decompress(base64.b64decode(obj["binaryData"]["objects"]))
        if len(packed) > _MAX_BYTES:
            raise ValueError("is too large")
        return Revision(
            int(obj["metadata"]["labels"][_LABEL]),
            data["version"],
            data["state"],
            msgspec.json.decode(data["values"], type=dict[str, Any]),
            tuple(msgspec.json.decode(packed, type=list[dict[str, Any]])),
        )
    except (KeyError, ValueError, OSError, EOFError, TypeError, msgspec.MsgspecError) as error:
        raise Broken(f"ConfigMap {name}: is no revision of Tulle's: {error}") from error
