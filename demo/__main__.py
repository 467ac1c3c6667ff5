"""`./run demo`: the tour, and a clean machine again, however it ends."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from rich.console import Console

from bench.load import LoadError
from bench.namespaces import SetupError

from . import nodes, requests, stage, tour
from .screen import Screen
from .shell import NODE, DemoError

TOUR = (
    tour.opening,
    tour.balancing,
    nodes.second,
    nodes.outside,
    tour.policy,
    nodes.denial,
    requests.canary,
    requests.retry,
    requests.read_only,
    requests.gateway,
    tour.crash,
    tour.latency,
)
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """0 if all held, 1 if something did not, 128 + signal if it was stopped."""
    screen = Screen(Console(highlight=False))
    if os.geteuid() != 0:
        screen.error("it makes network namespaces: run it as root")
        return 1
    try:
        lock = stage.only_one()
    except DemoError as error:
        screen.error(str(error))
        return 1
    for number in STOPS:
        signal.signal(number, _stop)
    code = 1
    with lock:
        try:
            code = _show(screen)
        finally:
            code = _clean(screen) or code
    if code in (0, 1):
        screen.close(finished=code == 0)
        code = 1 if screen.broken else code
    return code


def _show(screen: Screen) -> int:
    """The tour, as far as it comes."""
    try:
        stage.clear()
        screen.title(
            "Tulle, a service mesh in the kernel",
            "A shop of real servers, in the mesh in seconds. Every command shown is one that you"
            " can type. Ctrl-C ends the tour at any point, and nothing of it stays.",
        )
        stage.prepare()
        for chapter in TOUR:
            chapter(screen)
    except SystemExit as stopped:
        return int(stopped.code or 0)
    except (DemoError, LoadError, SetupError, OSError) as error:
        screen.error(str(error))
        return 1
    return 0


def _clean(screen: Screen) -> int:
    _ignore_stops()
    try:
        screen.say("\nCleaning up:")
        screen.command("tulle", "lab", "down", "--cluster", NODE)
    finally:
        code = _clear(screen)
    left = stage.remains()
    screen.promise(not left, f"nothing is left{': ' + ', '.join(left) if left else ''}")
    return 1 if left else code


def _clear(screen: Screen) -> int:
    try:
        stage.clear()
    except (DemoError, SetupError, OSError) as error:
        screen.error(str(error))
        return 1
    return 0


def _stop(number: int, frame: FrameType | None) -> None:
    _ignore_stops()  # a second one must not interrupt what the first one began
    sys.exit(128 + number)


def _ignore_stops() -> None:
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
