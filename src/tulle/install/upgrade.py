"""Installs, upgrades, goes back and takes away, with nothing changed before all of it is judged."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from tulle import __version__
from tulle.edges.kubernetes.errors import NotFound
from tulle.errors import Refused, TulleError, Unavailable, printable

from . import plain
from .cluster import Cluster, Json, title
from .crds import without_cel
from .marks import Setting
from .metadata import MANAGED_BY
from .objects import everything
from .overview import held_up
from .preflight import Facts, Finding, NameList, NodeList, findings
from .revisions import Revision, Revisions
from .values import chosen
from .workloads import agents, cleaners

_CEL_SINCE = 25
# Others may have objects of these, or in these: they are never pruned.
_STAY = ("CustomResourceDefinition", "Namespace")
_DAEMONS = "/apis/apps/v1/daemonsets"
_NODES = "/api/v1/nodes"


@dataclass(frozen=True, slots=True)
class Wish:
    """`values` are those that are given, by path."""

    namespace: str = plain.SYSTEM_NAMESPACE
    values: Mapping[str, Any] | None = None
    timeout_s: float = 600.0
    force: bool = False  # past what preflight refuses
    waits: bool = True


def made_for(cluster: Cluster, namespace: str, values: Mapping[str, Any]) -> tuple[Json, ...]:
    """The objects, in the form that this server knows."""
    setting = Setting(chosen(values), namespace, plain.MANAGER, cluster.apis)
    objects = list(plain.settled(everything(), setting))
    if cluster.discovered.minor < _CEL_SINCE:
        objects = without_cel(objects)
    return tuple(objects)


async def preflight(cluster: Cluster, values: Mapping[str, Any], before: str) -> list[Finding]:
    nodes = msgspec.json.decode(await cluster.client.get(_NODES), type=NodeList)
    daemons = msgspec.json.decode(await cluster.client.get(_DAEMONS), type=NameList)
    names = frozenset(item.metadata.name for item in daemons.items)
    return findings(Facts(cluster.discovered, nodes.items, names, before), chosen(values))


async def install(cluster: Cluster, wish: Wish, *, anew: bool) -> Revision:
    """`anew`: nothing may be installed yet; else something has to be, and its values stay.

    Raises Refused before anything is changed; Unavailable if it was not ready in time, and then
    what was installed before is in force again.
    """
    revisions = Revisions(cluster, wish.namespace)
    known = await revisions.all()
    before = _deployed(known)
    await _check_owner(cluster, wish)
    if anew and before:
        raise Refused(f"version {before.version} is installed already: `tulle upgrade`")
    if not anew and not before:
        raise Refused(f"nothing is installed in namespace {wish.namespace}: `tulle install`")
    values = {**(before.values if before else {}), **(wish.values or {})}
    await _judge(cluster, wish, values, before)
    objects = made_for(cluster, wish.namespace, values)
    await _try(cluster, objects)
    number = known[-1].number + 1 if known else 1
    revision = Revision(number, __version__, "rolling", values, objects)
    await revisions.claim(revision)
    return await _roll(cluster, wish, revision, known)


async def roll_back(cluster: Cluster, wish: Wish, number: int | None) -> Revision:
    """To revision `number`, or to the last that was deployed before what is there now."""
    revisions = Revisions(cluster, wish.namespace)
    known = await revisions.all()
    now = _deployed(known)
    halfway = bool(known) and known[-1].state in ("rolling", "failed")
    earlier = [item for item in known if item.state == "deployed" and (halfway or item is not now)]
    wanted = [item for item in known if item.number == number] if number else earlier[-1:]
    if not wanted or now is None:
        numbers = ", ".join(str(item.number) for item in earlier) or "none"
        raise Refused(f"no such revision to go back to; there are: {numbers}")
    revision = replace(wanted[0], number=known[-1].number + 1, state="rolling")
    await revisions.claim(revision)
    return await _roll(cluster, wish, revision, known)


async def uninstall(cluster: Cluster, wish: Wish, *, definitions: bool) -> None:
    """Takes the operator away, then agents, then what they left on nodes, then the rest.

    With `definitions` those of Tulle's own kinds too, and so all objects of these.
    """
    revisions = Revisions(cluster, wish.namespace)
    known = await revisions.all()
    now = _deployed(known) or (known[-1] if known else None)
    if now is None:
        raise Refused(f"nothing is installed in namespace {wish.namespace}")
    deadline_s = time.monotonic() + wish.timeout_s
    for kind in ("Deployment", "DaemonSet"):  # no pod ends without its node's agent
        workloads = [obj for obj in now.objects if obj["kind"] == kind]
        for obj in workloads:
            await cluster.delete(obj)
        await cluster.gone(workloads, deadline_s)
    await _clean_nodes(cluster, wish, now, deadline_s)
    for obj in reversed(now.objects):
        is_definition = obj["kind"] == "CustomResourceDefinition"
        if obj["kind"] != "Namespace" and (definitions or not is_definition):
            await cluster.delete(obj)
    await revisions.forget_all()
    namespaces = [obj for obj in now.objects if obj["kind"] == "Namespace"]
    for obj in namespaces:
        await cluster.delete(obj)
    await cluster.gone(namespaces, deadline_s)


async def _clean_nodes(cluster: Cluster, wish: Wish, now: Revision, deadline_s: float) -> None:
    """`tulle down` on every node, by pods that are there for nothing else."""
    setting = Setting(chosen(now.values), wish.namespace, plain.MANAGER, cluster.apis)
    (daemons,) = plain.settled([cleaners()], setting)
    await cluster.apply(daemons)
    try:
        await cluster.ready([daemons], deadline_s)
    finally:
        await cluster.delete(daemons)
    await cluster.gone([daemons], deadline_s)


async def _check_owner(cluster: Cluster, wish: Wish) -> None:
    """Raises Refused if the agents that are there are somebody else's to change."""
    setting = Setting(chosen({}), wish.namespace, plain.MANAGER, cluster.apis)
    (daemons,) = plain.settled([agents()], setting)
    have = await cluster.get(daemons)
    manager = (have or {}).get("metadata", {}).get("labels", {}).get(MANAGED_BY, plain.MANAGER)
    if manager != plain.MANAGER:
        raise Refused(f"{title(daemons)} is managed by {printable(str(manager))}: use that")


async def _judge(
    cluster: Cluster, wish: Wish, values: Mapping[str, Any], before: Revision | None
) -> None:
    found = await preflight(cluster, values, before.version if before else "")
    refused = [finding for finding in found if finding.level == "refused"]
    for finding in found:
        cluster.say(f"{finding.level}: {finding}")
    if refused and not wish.force:
        reasons = "; ".join(map(str, refused))
        raise Refused(f"preflight: {reasons} (--force goes past that)")


async def _try(cluster: Cluster, objects: Iterable[Json]) -> None:
    """The namespace for real, if there is none: without it nothing in it can be judged."""
    for obj in objects:
        is_first = obj["kind"] == "Namespace" and await cluster.get(obj) is None
        await cluster.apply(obj, dry=not is_first)


async def _roll(cluster: Cluster, wish: Wish, to: Revision, known: Sequence[Revision]) -> Revision:
    revisions, before = Revisions(cluster, wish.namespace), _deployed(known)
    try:
        await _put(cluster, wish, to, known)
    except (TulleError, TimeoutError) as error:
        await revisions.keep(replace(to, state="failed"))
        reasons = "; ".join([str(error), *await _held_up(cluster, wish.namespace)])
        if before is None:
            raise Unavailable(reasons) from error
        raise Unavailable(await _put_back(cluster, wish, to, before, reasons)) from error
    done = replace(to, state="deployed")
    await revisions.keep(done)
    await revisions.forget_old()
    return done


async def _held_up(cluster: Cluster, namespace: str) -> list[str]:
    """Whoever may not look at pods goes back all the same."""
    with suppress(TulleError, TimeoutError, msgspec.MsgspecError):
        return await held_up(cluster, namespace)
    return []


async def _put_back(
    cluster: Cluster, wish: Wish, failed: Revision, before: Revision, reasons: str
) -> str:
    """What there is to say about it."""
    cluster.say(f"failed: {reasons}; going back to revision {before.number}")
    try:
        await _put(cluster, wish, before, [failed])
    except (TulleError, TimeoutError) as again:
        then = f"revision {before.number} was put back, but is not ready either ({again})"
    else:
        await Revisions(cluster, wish.namespace).keep(replace(failed, state="reverted"))
        then = f"revision {before.number} is in force again"
    return f"revision {failed.number} failed, {then}: {reasons}"


async def _put(cluster: Cluster, wish: Wish, to: Revision, others: Iterable[Revision]) -> None:
    """And nothing that is in `others` alone, of which one may not have come to its end."""
    deadline_s = time.monotonic() + wish.timeout_s
    definitions = [obj for obj in to.objects if obj["kind"] in _STAY]
    for obj in definitions:
        await cluster.apply(obj)
    await cluster.ready(definitions, deadline_s)
    for obj in to.objects:
        if obj["kind"] not in _STAY:
            await cluster.apply(obj)
    if wish.waits:
        await cluster.ready(to.objects, deadline_s)
    names = {title(obj) for obj in to.objects}
    found = {title(obj): obj for other in others for obj in other.objects}
    for name, obj in reversed(found.items()):
        if name not in names and obj["kind"] not in _STAY:
            await _prune(cluster, obj)


async def _prune(cluster: Cluster, obj: Json) -> None:
    try:
        await cluster.delete(obj)
    except (Refused, NotFound) as error:
        cluster.say(f"left: {error}")


def _deployed(known: Iterable[Revision]) -> Revision | None:
    return next((item for item in reversed(list(known)) if item.state == "deployed"), None)
