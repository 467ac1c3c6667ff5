"""Conditions of a status, as all kinds of the Gateway API have them.

`lastTransitionTime` is left to whoever keeps what was said before.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tulle.model.kubernetes import ObjectMeta

Json = dict[str, Any]


class Verdict(NamedTuple):
    """What a condition says: its status, reason and message."""

    holds: bool
    reason: str
    message: str = ""


ACCEPTED = Verdict(True, "Accepted")
RESOLVED = Verdict(True, "ResolvedRefs")
PROGRAMMED = Verdict(True, "Programmed")


def condition(kind: str, verdict: Verdict, generation: int) -> Json:
    return {
        "type": kind,
        "status": "True" if verdict.holds else "False",
        "reason": verdict.reason,
        "message": verdict.message,
        "observedGeneration": generation,
    }


def conditions(generation: int, **verdicts: Verdict | None) -> list[Json]:
    """In this order; None: the condition is absent."""
    return [
        condition(kind, verdict, generation)
        for kind, verdict in verdicts.items()
        if verdict is not None
    ]


def age(metadata: ObjectMeta) -> tuple[bool, str, str]:
    """Sorts the oldest first, and those without a time last; equals by `NAMESPACE/NAME` as text."""
    created = metadata.creation_timestamp
    text = created if isinstance(created, str) else ""
    return not text, text, f"{metadata.namespace}/{metadata.name}"
