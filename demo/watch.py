"""What the tour's clients have seen: as tables, and as judgements."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.table import Table

from . import shell
from .screen import Screen, columns, shares
from .shell import Client, DemoError, ask, running

WAIT_S = 20.0
SHARE_TOLERANCE = 0.1  # of all requests; five standard deviations for 600 of them


def wait(true: Callable[[], bool], otherwise: Callable[[], str], seconds: float = WAIT_S) -> None:
    """Raises DemoError with what `otherwise` says if it does not come true."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise DemoError(otherwise())
        time.sleep(0.05)


def wait_for_pods() -> None:
    wait(
        lambda: all(pod["ready"] for pod in ask("tulle", "get", "pods")["items"]),
        lambda: "the shop does not open:\n" + shell.run("tulle", "get", "pods"),
    )


def wait_for_clients(true: Callable[[], bool]) -> None:
    wait(true, lambda: "the clients see nothing happen")


def spread(screen: Screen, line: Sequence[str]) -> dict[str, int]:
    """Show a client's requests until it has sent them; answers by replica. All must come."""
    screen.command(*line)
    with running(line) as load:
        screen.watch(lambda: shares(_replicas(load)), lambda: load.running)
    counts = _replicas(load)
    screen.promise(
        load.count("failed") == 0 < sum(counts.values()),
        f"{sum(counts.values())} requests, all answered",
    )
    return counts


def even(counts: dict[str, int], replicas: int) -> bool:
    """Whether so many replicas had about the same share."""
    total = sum(counts.values())
    return len(counts) == replicas and all(
        abs(count / total - 1 / replicas) < SHARE_TOLERANCE for count in counts.values()
    )


def _replicas(load: Client) -> dict[str, int]:
    names = [name for name in load.seen if name.startswith("from ")]
    return {name.removeprefix("from "): load.count(name) for name in names}


def attempts(title: str, knock: Client) -> Table:
    """What a client that should not get in has seen."""
    row = [str(knock.count(name)) for name in ("sent", "denied", "let in")]
    return columns(("", "tried", "denied", "let in"), [(title, *row)])


def service(shop: Client, knock: Client) -> Table:
    """What the shop's visitors and the client that should not get in have seen."""
    rows = [
        (
            "requests to the shop",
            *(str(shop.count(name)) for name in ("sent", "answered", "failed")),
        ),
        ("client → db", *(str(knock.count(name)) for name in ("sent", "let in", "denied"))),
    ]
    return columns(("", "sent", "answered", "failed"), rows)


def faultless(load: Client) -> bool:
    return load.count("answered") == load.count("sent") > 0


def closed(knock: Client) -> bool:
    return knock.count("denied") == knock.count("sent") > 0
