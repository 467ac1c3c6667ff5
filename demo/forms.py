"""The forms that the demo has: what is shown, and what it needs before and leaves after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from . import nodes, reading, requests, stage, tour
from .screen import Screen
from .shell import NODE

_STOP = "Every command shown is one that you can type. Ctrl-C ends the tour at any point, and"
_STOP += " nothing of it stays."


@dataclass(frozen=True, slots=True)
class Form:
    """`clear` removes all that a tour of the form made, this one or one that was killed."""

    title: str
    about: str
    prepare: Callable[[], object]
    chapters: Sequence[Callable[[Screen], object]]
    tell_end: Callable[[Screen], object]
    clear: Callable[[], object]
    remains: Callable[[], list[str]]


def standalone() -> Form:
    """Two nodes that need nothing but Tulle."""
    return Form(
        "Tulle, a service mesh in the kernel",
        f"A shop of real servers, in the mesh in seconds. {_STOP}",
        stage.prepare,
        (
            tour.opening,
            tour.balancing,
            nodes.second,
            nodes.outside,
            tour.policy,
            nodes.denial,
            reading.read_only,
            requests.canary,
            requests.retry,
            requests.gateway,
            tour.crash,
            tour.latency,
        ),
        lambda screen: screen.command("tulle", "lab", "down", "--cluster", NODE),
        stage.clear,
        stage.remains,
    )


def kubernetes() -> Form:
    """Two nodes of a real Kubernetes, which is built first if this machine never had it."""
    from .kubernetes.ground import NAME, Ground
    from .kubernetes.tour import TOUR

    ground = Ground()
    return Form(
        "Tulle on Kubernetes",
        f"The same shop, applied with kubectl to a real API server. {_STOP} kubectl stands for one"
        " that runs in the control plane's network. The first time all of it is built, in minutes.",
        ground.prepare,
        [partial(chapter, ground=ground) for chapter in TOUR],
        lambda screen: screen.command("tulle", "lab", "down", "--cluster", NAME),
        ground.clear,
        ground.remains,
    )
