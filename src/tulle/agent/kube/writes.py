"""What to send to an API server so that an object's status says what it should. Pure.

Where a status is Tulle's alone, or its lists are maps by name, it is applied (server-side apply, by
the manager `tulle`). `parents` and `ancestors` are lists that controllers share and that the API
knows as one piece: of these only the entries that bear our controller's name are replaced, on the
very version that was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tulle.agent.transitions import name_of, stamped
from tulle.model.kubernetes import ObjectRef
from tulle.model.references import CONTROLLER

Json = dict[str, Any]

MANAGER = "tulle"
LOAD_BALANCER_CLASS = "tulle.io/lb"
_SHARED = {"parents": 32, "ancestors": 16}  # how many entries the API takes
# Types of conditions that Tulle ever says: one of these that is no longer said has to go.
_OURS = frozenset(
    {
        "Accepted",
        "Conflicted",
        "InsecureFrontendValidationMode",
        "OverlappingTLSConfig",
        "PartiallyInvalid",
        "Programmed",
        "ResolvedRefs",
        "Valid",
    }
)
_MAPS = ("listeners", "clusters")  # lists of which the API keeps an order of its own
_NOTHING: tuple[object, ...] = (None, 0, "", [], {})


@dataclass(frozen=True, slots=True)
class Write:
    """`body` is what the request carries; `merge` is refused if the object has changed since."""

    ref: ObjectRef
    way: Literal["apply", "merge"]
    body: Json


def write_of(ref: ObjectRef, wanted: Json, have: Json, now: str) -> Write | None:
    """`have` is the whole object as the API has it; None: it says all of `wanted` already."""
    if "loadBalancer" in wanted and not _takes(ref, wanted, have):
        return None
    old, wanted = have.get("status") or {}, worded(wanted)
    shared = next((name for name in _SHARED if name in wanted), "")
    if shared:
        return _merged(ref, shared, wanted[shared], have, now)
    status = stamped(wanted, old, now)
    if _says(old, status):
        return None
    document = {"apiVersion": have["apiVersion"], "kind": have["kind"]}
    metadata = {key: value for key, value in _identity(have).items() if key != "resourceVersion"}
    return Write(ref, "apply", {**document, "metadata": metadata, "status": status})


def worded(status: Json) -> Json:
    """With a message in every condition: there are servers of 1.20 that take an empty one for none,
    and refuse the whole.

    >>> worded({"listeners": [{"conditions": [{"reason": "Accepted", "message": ""}]}]})
    {'listeners': [{'conditions': [{'reason': 'Accepted', 'message': 'Accepted'}]}]}
    """
    made = dict(status)
    for name in ("listeners", *_SHARED):
        if name in status:
            made[name] = [worded(item) for item in status[name]]
    if "conditions" in status:
        made["conditions"] = [
            item if item.get("message") else {**item, "message": item["reason"]}
            for item in status["conditions"]
        ]
    return made


def _takes(ref: ObjectRef, wanted: Json, have: Json) -> bool:
    """Whether addresses are ours to say there, or if it is to have none, were."""
    if not wanted["loadBalancer"]["ingress"]:
        fields = have["metadata"].get("managedFields") or ()
        return any(item.get("manager") == MANAGER for item in fields)
    return ref.kind != "Service" or _balances(have)


def _balances(service: Json) -> bool:
    """Another class' load balancer says its own addresses."""
    spec = service.get("spec") or {}
    ours = (spec.get("loadBalancerClass") or LOAD_BALANCER_CLASS) == LOAD_BALANCER_CLASS
    return ours and spec.get("type") == "LoadBalancer"


def _identity(have: Json) -> Json:
    metadata = have["metadata"]
    names = ("name", "namespace", "uid", "resourceVersion")
    return {name: metadata[name] for name in names if metadata.get(name)}


def _merged(ref: ObjectRef, part: str, wanted: list[Json], have: Json, now: str) -> Write | None:
    present = (have.get("status") or {}).get(part) or []
    ours = [item for item in present if item.get("controllerName") == CONTROLLER]
    others = [item for item in present if item.get("controllerName") != CONTROLLER]
    entries = stamped({part: wanted}, {part: ours}, now)[part]
    entries = entries[: max(0, _SHARED[part] - len(others))]
    if _same_entries(ours, entries):
        return None
    return Write(ref, "merge", {"metadata": _identity(have), "status": {part: others + entries}})


def _same_entries(have: list[Json], wanted: list[Json]) -> bool:
    if len(have) != len(wanted):
        return False
    known = {name_of(item): item for item in have}
    return all(_says(known.get(name_of(item)), item) for item in wanted)


def _says(have: Any, wanted: Any) -> bool:
    """A server fills defaults in, and leaves out what its version of a kind does not know."""
    if isinstance(wanted, dict):
        return isinstance(have, dict) and all(
            _part_says(name, have[name], value) if name in have else value in _NOTHING
            for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(have, list)
            and len(have) == len(wanted)
            and all(_says(one, other) for one, other in zip(have, wanted, strict=True))
        )
    return bool(have == wanted)


def _part_says(name: str, have: Any, wanted: Any) -> bool:
    if name == "conditions":
        return _conditions_say(have or (), wanted)
    if name in _MAPS:
        return _same_entries(have or [], wanted)
    return _says(have, wanted)


def _conditions_say(have: Iterable[Json], wanted: Iterable[Json]) -> bool:
    known = {item["type"]: item for item in have}
    said: Mapping[str, Json] = {item["type"]: item for item in wanted}
    gone = (known.keys() & _OURS) - said.keys()
    return not gone and all(_says(known.get(kind), item) for kind, item in said.items())
