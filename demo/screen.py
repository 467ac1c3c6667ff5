"""How the tour looks: chapters, commands with what they say, moving figures, promises.

On a terminal figures move; anywhere else only their last state is printed, without colours.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.bar import Bar
from rich.console import Console, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, Progress
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from . import shell

FRAME_S = 0.1
_INDENT = 2
_COLOURS = {
    r"\bFORWARDED\b": "green",
    r"\bDROPPED\b": "red",
    r"\bAUDIT\b": "yellow",
    r"default deny by .*": "bold",
}


class Screen:
    """Also remembers what was promised and did not hold."""

    def __init__(self, console: Console) -> None:
        self.broken: list[str] = []
        self._console, self._chapter, self._promised = console, 0, 0

    def title(self, text: str, about: str) -> None:
        self._console.print(
            Panel(about, title=f"[bold]{text}", border_style="cyan", padding=(1, 2))
        )

    def chapter(self, title: str, about: str) -> None:
        self._chapter += 1
        self._console.print()
        self._console.print(Rule(f"[bold]{self._chapter}  {title}", align="left", style="cyan"))
        self.say(about)

    def say(self, text: str) -> None:
        self._console.print(Text(text), style="italic")

    def command(self, *line: str) -> None:
        text = Text(f"$ {shlex.join(line)}", style="bold cyan")
        self._console.print(text, soft_wrap=not self._console.is_terminal)

    def output(self, output: str, crop: bool = False) -> None:
        text = Text(output.rstrip(), no_wrap=crop, overflow="ellipsis" if crop else "fold")
        for pattern, style in _COLOURS.items():
            text.highlight_regex(pattern, style)
        if self._console.is_terminal:
            self.show(text)
        else:  # whole lines, to be searched
            for line in text.split():
                self._console.print(Text(" " * _INDENT) + line, soft_wrap=True)

    def run(self, *line: str, codes: Sequence[int] = (0,), crop: bool = False) -> None:
        """Show a command, run it, show what it says; `crop` cuts lines that are too long."""
        self.command(*line)
        self.output(shell.run(*line, codes=codes), crop)

    def watch(self, draw: Callable[[], RenderableType], more: Callable[[], bool]) -> None:
        """Draw again and again as long as there is `more`, and once after that."""
        if not self._console.is_terminal:
            while more():
                time.sleep(FRAME_S)
            self.show(draw())
            return
        with Live(_indented(draw()), console=self._console, auto_refresh=False) as live:
            going = True
            while going:
                going = more()
                time.sleep(FRAME_S)
                live.update(_indented(draw()), refresh=True)

    @contextmanager
    def progress(self) -> Iterator[Callable[[float], None]]:
        """A bar that vanishes in the end; what it gives is told how much is done, 0 to 1."""
        # refreshed only when told: a ticking thread would be measured too
        with Progress(
            BarColumn(), console=self._console, auto_refresh=False, transient=True
        ) as progress:
            task = progress.add_task("", total=1.0, visible=self._console.is_terminal)
            yield lambda part: progress.update(task, completed=part, refresh=True)

    def show(self, what: RenderableType) -> None:
        self._console.print(_indented(what))

    def promise(self, held: bool, text: str) -> None:
        self._promised += 1
        if not held:
            self.broken.append(text)
        mark = Text("✓ " if held else "✗ ", style="bold green" if held else "bold red")
        self._console.print(mark + Text(text))

    def close(self, finished: bool) -> None:
        if self.broken:
            text = "\n".join(["What did not hold:", *(f"✗ {text}" for text in self.broken)])
            self._console.print(Panel(text, border_style="red"))
        elif finished:
            text = f"All {self._promised} promises held, and the machine is as it was before."
            self._console.print(Panel(text, border_style="green"))

    def error(self, text: str) -> None:
        self._console.print(Text(f"demo: {text}", style="red"))


def shares(counts: Mapping[str, int]) -> Table:
    """A bar for each name, with its share of all."""
    total = sum(counts.values())
    table = Table.grid(padding=(0, 2))
    for name, count in sorted(counts.items()):
        bar = Bar(1.0, 0.0, count / total if total else 0.0, width=40, color="cyan")
        table.add_row(name, bar, Text(f"{count / total:6.1%}" if total else ""), str(count))
    return table


def columns(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """The first column is text, the others figures."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, header in enumerate(headers):
        table.add_column(header, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    return table


def _indented(what: RenderableType) -> Padding:
    return Padding(what, (0, 0, 0, _INDENT), expand=False)
