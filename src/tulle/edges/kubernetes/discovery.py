"""What a server has: which kinds, in which versions. Asked in the form that all servers know."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote

import msgspec

from tulle.errors import Unavailable

from .client import Client
from .errors import Forbidden, NotFound
from .wire import Unreadable

_AT_ONCE = 8
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind in one version, and where its objects are."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    has_status: bool = False
    verbs: frozenset[str] = frozenset()

    @property
    def group_version(self) -> str:
        """As in `apiVersion`: v1, discovery.k8s.io/v1."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", sub: str = "") -> str:
        """
        >>> Resource("", "v1", "services", "Service", True).path("shop", "web", "status")
        '/api/v1/namespaces/shop/services/web/status'
        """
        parts = [_root(self.group_version)]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        parts += [quote(part, safe="") for part in (name, sub) if part]
        return "/".join(parts)


@dataclass(frozen=True, slots=True)
class Discovered:
    """`server` is its version; resources are by `apiVersion` and kind."""

    server: str = ""
    minor: int = 0
    resources: Mapping[tuple[str, str], Resource] = field(default_factory=dict)

    def choose(self, kind: str, versions: Sequence[str]) -> Resource | None:
        """In the first of our `versions` (as in `apiVersion`) that is served; None: in none."""
        found = (self.resources.get((version, kind)) for version in versions)
        return next((resource for resource in found if resource), None)


class _Version(msgspec.Struct):
    minor: str = ""
    git: str = msgspec.field(default="", name="gitVersion")


class _GroupVersion(msgspec.Struct):
    name: str = msgspec.field(name="groupVersion")


class _Group(msgspec.Struct):
    name: str
    versions: list[_GroupVersion]


class _Groups(msgspec.Struct):
    groups: list[_Group]


class _Kind(msgspec.Struct):
    name: str
    kind: str
    namespaced: bool = False
    verbs: list[str] | None = None


class _Kinds(msgspec.Struct):
    resources: list[_Kind] | None = None


async def discover(client: Client, groups: Collection[str] | None = None) -> Discovered:
    """Of `groups` only ("" is the core), or of all.

    A kind that is not heard of would be taken for absent, and what it forbids for allowed. So it
    raises Unavailable also while the server is starting, which then does not know its CRDs yet,
    and if it is one group alone that does not answer.
    """
    await _ready(client)
    version = _decode(await client.get("/version"), _Version)
    listed = _decode(await client.get("/apis"), _Groups).groups
    wanted = [
        served.name
        for group in listed
        if groups is None or group.name in groups
        for served in group.versions
    ]
    if groups is None or "" in groups:
        wanted.insert(0, "v1")
    turn = asyncio.Semaphore(_AT_ONCE)

    async def ask(group_version: str) -> list[Resource]:
        async with turn:
            try:
                body = await client.get(_root(group_version))
            except NotFound as error:  # it has just gone, or is not there yet
                raise Unavailable(f"{error}: but it is listed as served") from error
        return list(_resources(group_version, _decode(body, _Kinds).resources or ()))

    answers = await asyncio.gather(*map(ask, wanted))
    found = {(each.group_version, each.kind): each for answer in answers for each in answer}
    return Discovered(version.git, _number(version.minor), found)


async def _ready(client: Client) -> None:
    with suppress(Forbidden, NotFound):  # then nobody can know
        await client.get("/readyz")


def _resources(group_version: str, kinds: Iterable[_Kind]) -> Iterable[Resource]:
    kinds = list(kinds)
    with_status = {kind.name.removesuffix("/status") for kind in kinds if "/" in kind.name}
    group, _, version = group_version.rpartition("/")
    for kind in kinds:
        if "/" not in kind.name:
            yield Resource(
                group,
                version,
                kind.name,
                kind.kind,
                kind.namespaced,
                kind.name in with_status,
                frozenset(kind.verbs or ()),
            )


def _root(group_version: str) -> str:
    return f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"


def _number(minor: str) -> int:
    """
    >>> _number("20+"), _number("36"), _number("")
    (20, 36, 0)
    """
    digits = minor[: len(minor) - len(minor.lstrip("0123456789"))]
    return int(digits or 0)


def _decode(body: bytes, form: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreadable(f"API server: what it serves cannot be read: {error}") from error
