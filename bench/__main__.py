"""`./run bench`: set scenarios up, measure them in rounds, show ratios, clean up."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from . import figures, namespaces, report, rounds
from .catalogue import SUITES
from .kubernetes import part
from .kubernetes import run as measure_kubernetes
from .load import Client, LoadError
from .pace import ByCount, ByTime, Pace
from .scale import run as measure_scale
from .suite import Cores, Scenario, Suite
from .worlds import Size

ROUNDS = 60
QUICK_BUDGET_S = 44.0
SCENARIOS = [name for suites in SUITES.values() for suite in suites for name in suite.scenarios]

Show = Callable[[float, str], None]


@click.command()
@click.option("--nodes", is_flag=True, help="Measure between nodes, instead of on one.")
@click.option("--proxy", is_flag=True, help="Measure ways through proxies instead.")
@click.option("--stream", is_flag=True, help="Measure requests that are judged, instead.")
@click.option("--scale", is_flag=True, help="Measure a large world on one node instead.")
@click.option("--kubernetes", is_flag=True, help="A large cluster in a real API server instead.")
@click.option(
    "--percent",
    type=click.IntRange(1, 100),
    default=100,
    help="With --kubernetes: how much of the 5,000 services, 50,000 pods and 1,000 nodes.",
)
@click.option("--quick", is_flag=True, help="As many rounds as fit into 50 s, set-up included.")
@click.option("--rounds", "count", type=click.IntRange(min=1), help=f"{ROUNDS} unless --quick.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--scenario",
    "names",
    multiple=True,
    type=click.Choice(SCENARIOS),
    help="Only this one, beside what it is compared with; may be repeated.",
)
def main(
    nodes: bool,
    proxy: bool,
    stream: bool,
    scale: bool,
    kubernetes: bool,
    percent: int,
    quick: bool,
    count: int | None,
    json_file: Path | None,
    names: tuple[str, ...],
) -> None:
    """Measure what a mesh costs, as ratios to plain networks in the same run."""
    if os.geteuid() != 0:
        raise click.ClickException("the bench makes network namespaces: run it as root")
    if scale:
        sys.exit(measure_scale(Size(), json_file))
    if kubernetes:
        sys.exit(measure_kubernetes(part(percent), json_file))
    kind = "nodes" if nodes else "proxy" if proxy else "stream" if stream else "one node"
    suites = _chosen(SUITES[kind], names)
    results = []
    for suite in suites:
        ends_at = time.monotonic() + QUICK_BUDGET_S / len(suites)
        try:
            with _progress() as show, _cleaning(show) as stack:
                namespaces.remove_stale()
                make_pace: Callable[[], Pace] = partial(ByCount, count or ROUNDS)
                if quick and not count:
                    make_pace = partial(ByTime, ends_at)
                results.append(_measure(suite, make_pace, stack, show))
        except (LoadError, namespaces.SetupError) as error:
            raise click.ClickException(str(error)) from error
        report.show(Console(), results[-1])
    if json_file:
        report.write_json(json_file, results)
    sys.exit(1 if any(result.failed for result in results) else 0)


def _chosen(suites: Sequence[Suite], names: Sequence[str]) -> list[Suite]:
    """Only the scenarios that are asked for, and those that they are compared with."""
    if not names:
        return list(suites)
    found = []
    for suite in suites:
        wanted = {key: make for key, make in suite.scenarios.items() if key in names}
        if wanted:
            scenarios = {suite.base: suite.scenarios[suite.base], **wanted}
            found.append(replace(suite, scenarios=scenarios))
    if not found:
        raise click.UsageError("these scenarios are of another kind: see --help")
    return found


def _measure(
    suite: Suite, make_pace: Callable[[], Pace], stack: ExitStack, show: Show
) -> report.Result:
    clients, failed = _set_up(suite, stack, show)
    pace = make_pace()
    result = rounds.run(
        clients, suite.phases, suite.base, pace, lambda done, what: show(pace.part(done), what)
    )
    failed = {**failed, **result.failed}
    measured = [name for name in clients if name != suite.base and name not in failed]
    return report.Result(
        suite,
        [figures.row(suite, name, result.visits) for name in measured],
        figures.base_medians(suite, result.visits),
        failed,
    )


def _set_up(suite: Suite, stack: ExitStack, show: Show) -> tuple[dict[str, Client], dict[str, str]]:
    """Build the scenarios; those that cannot be built are told in the second value, with why."""
    usable = sorted(os.sched_getaffinity(0))
    cores = Cores(client=usable[0], server=usable[0 if suite.one_core else -1])
    clients: dict[str, Client] = {}
    failed: dict[str, str] = {}
    for name, make in suite.scenarios.items():
        show(0.0, f"setting up {name}")
        scenario = make()
        stack.callback(_tear_down, scenario, failed)
        try:
            target = scenario.setup(cores)
            client = Client(target, cores.client)
            stack.callback(client.close)
            rounds.warm_up(client)
        except (LoadError, namespaces.SetupError) as error:
            if name == suite.base:
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
