"""YAML text → plain values that remember where they stood, within hard limits.

Works on libyaml's events, so nothing is built before it is known to be shallow and small enough.
Aliases share the value that they name: what they would expand to is counted, never made.
Follows YAML as Kubernetes reads it (YAML 1.1 words for booleans, timestamps are text), minus
what a manifest has no use for: merge keys, tags, keys that are not text, odd spellings of numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import yaml

from .fields import FieldError, Path, quote

Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]
Mark = tuple[int, int]  # line and column, from 1


class _YamlMark(Protocol):
    """libyaml's and PyYAML's marks, which count from 0."""

    line: int
    column: int


MAX_DEPTH = 64
MAX_EVENTS = 300_000  # of one file; below 1 s
MAX_EXPANDED = 2 << 20  # characters and values of one file, aliases expanded

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLS = {
    variant: value
    for words, value in (("true yes on y", True), ("false no off n", False))
    for word in words.split()
    for variant in (word, word.capitalize(), word.upper())
}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_ODD_INT = re.compile(r"[-+]?(0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]+|0b[01_]+|[0-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INT_DIGITS = 19
_TAGS: dict[type[yaml.Event], str] = {
    yaml.ScalarEvent: "tag:yaml.org,2002:str",
    yaml.SequenceStartEvent: "tag:yaml.org,2002:seq",
    yaml.MappingStartEvent: "tag:yaml.org,2002:map",
}


class FileLimit(Exception):
    """The file as a whole is more than is read; nothing of it counts."""


class YamlError(Exception):
    """A document that cannot be read: reason, place, and whatever was whole before it."""

    def __init__(self, reason: str, mark: Mark, path: Path = (), partial: Value = None) -> None:
        super().__init__(reason)
        self.reason, self.mark, self.path, self.partial = reason, mark, path, partial


@dataclass(slots=True)
class Budget:
    """What is left of the limits of one file."""

    events: int = MAX_EVENTS
    expanded: int = MAX_EXPANDED


@dataclass(slots=True)
class Tree:
    """One document: its value, and the mark of every field and list item."""

    root: Value
    start: Mark
    marks: dict[int, dict[str | int, Mark]]  # by id() of the list or mapping

    def place(self, path: Path) -> Mark:
        """Mark of the deepest part of `path` that exists."""
        mark, value = self.start, self.root
        for step in path:
            mark = self.marks.get(id(value), {}).get(step, mark)
            value = below(value, step)
        return mark

    def value_at(self, path: Path) -> Value:
        """What stands at `path`; None if nothing does."""
        value = self.root
        for step in path:
            value = below(value, step)
        return value


def below(value: Value, step: str | int) -> Value:
    """The part of `value` that `step` names; None if there is none."""
    if isinstance(value, dict) and isinstance(step, str):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return None


@dataclass(slots=True)
class _Open:
    """A list or mapping that has begun and not ended, or (as an anchor) one that has."""

    value: Value
    mark: Mark
    anchor: str | None
    weight: int = 1
    height: int = 0
    key: str | None = None
    done: bool = False
    marks: dict[str | int, Mark] = field(default_factory=dict)

    @property
    def step(self) -> str | int | None:
        """Where the next value goes; None in a mapping that waits for a key."""
        return len(self.value) if isinstance(self.value, list) else self.key


def compose(text: str, first_line: int, budget: Budget) -> Tree | None:
    """Read the one document in `text`, whose first line is `first_line` of its file.

    Raises YamlError if any of it cannot be read, FileLimit if the budget is spent.
    """
    composer = _Composer(first_line, budget)
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            budget.events -= 1
            if budget.events < 0:
                raise FileLimit(f"holds more than {MAX_EVENTS} YAML values and marks: split it")
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise composer.error(f"is not YAML: {error.problem}", composer.mark(mark)) from error
    except yaml.YAMLError as error:
        raise composer.error("is not YAML: characters that no text has", None) from error
    budget.expanded -= composer.weight
    return composer.tree


class _Composer:
    """Folds events into a tree; the stack holds what is open."""

    def __init__(self, first_line: int, budget: Budget) -> None:
        self.tree: Tree | None = None
        self.weight = 0
        self._first_line = first_line
        self._budget = budget
        self._stack: list[_Open] = []
        self._anchors: dict[str, _Open] = {}
        self._marks: dict[int, dict[str | int, Mark]] = {}
        self._partial: Value = None

    def take(self, event: yaml.Event) -> None:
        mark = self.mark(event.start_mark)
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, mark)
            leaf = _Open(value, mark, event.anchor, weight=1 + len(event.value), done=True)
            self._attach(leaf, mark)
        elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            self._begin(event, mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(str(event.anchor), mark)

    def error(self, reason: str, mark: Mark | None, *steps: str | int) -> YamlError:
        path = tuple(f.step for f in self._stack if f.step is not None) + steps
        return YamlError(reason, mark or (self._first_line, 1), path, self._partial)

    def mark(self, mark: _YamlMark | None) -> Mark:
        return (mark.line + self._first_line, mark.column + 1) if mark else (self._first_line, 1)

    def _begin(self, event: yaml.CollectionStartEvent, mark: Mark) -> None:
        self._check_tag(event, mark)
        if self._stack and self._stack[-1].step is None:
            raise self.error("a key must be text", mark)
        if len(self._stack) >= MAX_DEPTH:
            raise self.error(f"is nested deeper than {MAX_DEPTH} levels", mark)
        opened = _Open([] if isinstance(event, yaml.SequenceStartEvent) else {}, mark, event.anchor)
        if event.anchor:
            self._anchors[event.anchor] = opened
        if not self._stack:
            self._partial = opened.value
        self._stack.append(opened)

    def _end(self) -> None:
        closed = self._stack.pop()
        closed.done = True
        self._marks[id(closed.value)] = closed.marks
        self._attach(closed, closed.mark)

    def _alias(self, name: str, mark: Mark) -> None:
        target = self._anchors.get(name)
        if target is None:
            raise self.error(f"alias *{name} names nothing above it", mark)
        if not target.done:
            raise self.error(f"alias *{name} contains itself", mark)
        if len(self._stack) + target.height > MAX_DEPTH:
            raise self.error(f"is nested deeper than {MAX_DEPTH} levels", mark)
        if self._stack[-1].step is None:
            raise self.error("a key must be text, not an alias", mark)
        self._attach(target, mark)

    def _attach(self, child: _Open, mark: Mark) -> None:
        if child.anchor:
            self._anchors[child.anchor] = child
        if not self._stack:
            self.weight = child.weight
            self.tree = Tree(child.value, mark, self._marks)
            return
        parent = self._stack[-1]
        if isinstance(parent.value, dict) and parent.key is None:
            parent.key = self._key(parent.value, child, mark)
            parent.marks[parent.key] = mark
        elif isinstance(parent.value, dict) and parent.key is not None:
            parent.value[parent.key] = child.value
            parent.key = None
        elif isinstance(parent.value, list):
            parent.marks[len(parent.value)] = mark
            parent.value.append(child.value)
        parent.weight += child.weight
        parent.height = max(parent.height, child.height + 1)
        if parent.weight > self._budget.expanded:
            raise self.error(f"aliases make the file longer than {MAX_EXPANDED >> 20} MiB", mark)

    def _key(self, mapping: dict[str, Value], child: _Open, mark: Mark) -> str:
        if not isinstance(child.value, str):
            raise self.error("a key must be text: put it in quotes", mark)
        if child.value == "<<":
            raise self.error("merge keys (<<) are not supported", mark)
        if child.value in mapping:
            raise self.error("this key stands twice", mark, child.value)
        return child.value

    def _check_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, mark: Mark) -> None:
        if event.tag is not None and event.tag != _TAGS[type(event)]:
            raise self.error(f"tag {quote(event.tag)} is not supported", mark)

    def _scalar(self, event: yaml.ScalarEvent, mark: Mark) -> Value:
        self._check_tag(event, mark)
        if "\0" in event.value:
            raise self.error("contains a NUL character", mark)
        if event.tag is not None or not event.implicit[0]:
            return str(event.value)
        try:
            return plain(event.value)
        except FieldError as error:
            raise self.error(error.reason, mark) from error


def plain(text: str) -> Value:
    """Value of an unquoted scalar.

    >>> [plain(t) for t in ("80", "1.10", "no", "~", "2024-01-01", "1:30")]
    [80, 1.1, False, None, '2024-01-01', '1:30']
    """
    if text in _NULL:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if not (text[0].isdigit() or text[0] in "+-."):
        return text
    if _INT.fullmatch(text):
        if len(text.lstrip("+-")) >= _INT_DIGITS:
            raise FieldError(f"number {quote(text)} is too large")
        return int(text)
    if _ODD_INT.fullmatch(text):
        raise FieldError(f"{quote(text)} is an ambiguous number: write it in decimal, or in quotes")
    if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        number = math.nan if _NOT_FINITE.fullmatch(text) else float(text)
        if not math.isfinite(number):
            raise FieldError(f"{quote(text)} is not a finite number")
        return number
    return text


def walk(value: Value, path: Path = ()) -> Iterator[tuple[Path, Value]]:
    """Every value below and including `value`, with its path, in order."""
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, (*path, index))
