"""`./run bench`: set every scenario up, measure them in rounds, show ratios, clean up."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from . import figures, namespaces, report, rounds
from .catalogue import SCENARIOS
from .figures import BASE
from .load import Client, LoadError
from .pace import ByCount, ByTime, Pace
from .scenarios import Cores, Scenario

ROUNDS = 60
QUICK_BUDGET_S = 44.0

Show = Callable[[float, str], None]


@click.command()
@click.option("--quick", is_flag=True, help="As many rounds as fit into 50 s, set-up included.")
@click.option("--rounds", "count", type=click.IntRange(min=1), help=f"{ROUNDS} unless --quick.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--scenario",
    "names",
    multiple=True,
    type=click.Choice(list(SCENARIOS)),
    help="Only this one, beside direct; may be repeated.",
)
def main(quick: bool, count: int | None, json_file: Path | None, names: tuple[str, ...]) -> None:
    """Measure what a mesh costs, as ratios to plain veth routing in the same run."""
    started = time.monotonic()
    if os.geteuid() != 0:
        raise click.ClickException("the bench makes network namespaces: run it as root")
    chosen = [name for name in SCENARIOS if not names or name in names or name == BASE]
    try:
        with _progress() as show, _cleaning(show) as stack:
            namespaces.remove_stale()
            clients, failed = _set_up(chosen, stack, show)
            pace: Pace = ByCount(count or ROUNDS)
            if quick and not count:
                pace = ByTime(started + QUICK_BUDGET_S)
            result = rounds.run(
                clients, figures.PHASES, pace, lambda done, what: show(pace.part(done), what)
            )
    except (LoadError, namespaces.SetupError) as error:
        raise click.ClickException(str(error)) from error
    failed = {**failed, **result.failed}
    measured = [name for name in clients if name != BASE and name not in failed]
    rows = [figures.row(name, result.visits) for name in measured]
    base = figures.base_medians(result.visits)
    report.show(Console(), rows, base, failed)
    if json_file:
        report.write_json(json_file, rows, base, failed)
    sys.exit(1 if failed else 0)


def _set_up(
    names: Sequence[str], stack: ExitStack, show: Show
) -> tuple[dict[str, Client], dict[str, str]]:
    """Build the scenarios; those that cannot be built are told in the second value, with why."""
    usable = sorted(os.sched_getaffinity(0))
    cores = Cores(client=usable[0], server=usable[-1])
    clients: dict[str, Client] = {}
    failed: dict[str, str] = {}
    for name in names:
        show(0.0, f"setting up {name}")
        scenario = SCENARIOS[name]()
        stack.callback(_tear_down, scenario, failed)
        try:
            target = scenario.setup(cores)
            client = Client(target.inside, target.url, cores.client)
            stack.callback(client.close)
            rounds.warm_up(client)
        except (LoadError, namespaces.SetupError) as error:
            if name == BASE:
                raise
            failed[name] = f"set-up: {error}"
        else:
            clients[name] = client
    return clients, failed


def _tear_down(scenario: Scenario, failed: dict[str, str]) -> None:
    """What one scenario leaves behind must not cost the others' figures, but be told."""
    try:
        scenario.teardown()
    except namespaces.SetupError as error:
        failed.setdefault(scenario.name, f"clean-up: {error}")


@contextmanager
def _cleaning(show: Show) -> Iterator[ExitStack]:
    """A stack that is unwound whatever happens, and that a second Ctrl-C does not interrupt."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    stack = ExitStack()
    try:
        yield stack
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        show(1.0, "cleaning up")
        stack.close()


@contextmanager
def _progress() -> Iterator[Show]:
    """Show on standard error how far the run is."""
    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    # refreshed only when something is told: a ticking thread would be measured too
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as progress:
        task = progress.add_task("", total=1.0)

        def show(part: float, what: str) -> None:
            progress.update(task, completed=part, description=what, refresh=True)

        yield show


if __name__ == "__main__":
    main(prog_name="./run bench")
