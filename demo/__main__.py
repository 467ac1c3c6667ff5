"""`./run demo`: the tour, and a clean machine again, however it ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

import click
from rich.console import Console

from bench.load import LoadError
from bench.namespaces import SetupError
from tulle.errors import TulleError

from . import stage
from .forms import Form, kubernetes, standalone
from .screen import Screen
from .shell import STOPS, DemoError

_FAILURES = (DemoError, LoadError, SetupError, TulleError, AssertionError, OSError)


@click.command()
@click.option("--kubernetes", "on_kubernetes", is_flag=True, help="The same shop on a real one.")
def main(on_kubernetes: bool) -> None:
    """A guided tour; 0 if all held, 1 if something did not, 128 + signal if it was stopped."""
    screen = Screen(Console(highlight=False))
    if os.geteuid() != 0:
        screen.error("it makes network namespaces: run it as root")
        sys.exit(1)
    sys.exit(_run(screen, kubernetes if on_kubernetes else standalone))


def _run(screen: Screen, make: Callable[[], Form]) -> int:
    try:
        lock = stage.only_one()
    except DemoError as error:
        screen.error(str(error))
        return 1
    for number in STOPS:
        signal.signal(number, _stop)
    code, form = 1, make()
    with lock:
        try:
            code = _show(screen, form)
        finally:
            code = _clean(screen, form) or code
    if code in (0, 1):
        screen.close(finished=code == 0)
        code = 1 if screen.broken else code
    return code


def _show(screen: Screen, form: Form) -> int:
    """The tour, as far as it comes."""
    try:
        form.clear()
        screen.title(form.title, form.about)
        form.prepare()
        for chapter in form.chapters:
            chapter(screen)
    except SystemExit as stopped:
        return int(stopped.code or 0)
    except _FAILURES as error:
        screen.error(str(error))
        return 1
    return 0


def _clean(screen: Screen, form: Form) -> int:
    _ignore_stops()
    try:
        screen.say("\nCleaning up:")
        form.tell_end(screen)
    finally:
        code = _clear(screen, form)
    left = form.remains()
    screen.promise(not left, f"nothing is left{': ' + ', '.join(left) if left else ''}")
    return 1 if left else code


def _clear(screen: Screen, form: Form) -> int:
    try:
        form.clear()
    except _FAILURES as error:
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
    main(prog_name="./run demo")
