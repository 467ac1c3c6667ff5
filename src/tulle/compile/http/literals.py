"""Regular expressions that are nothing but a choice of texts, or of beginnings.

Policies word methods, paths and hosts as expressions of the whole text. Most of them are a text, a
few texts, or a text and `.*`: those a map can hold.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_TEXTS = 64  # that one expression may stand for
_SPECIAL = frozenset(".*+?[{^$\\")
_ANY = ".*"


class Text(NamedTuple):
    """With `open` whatever may follow."""

    start: str
    open: bool = False


class NoTextError(Exception):
    """Words for what it is in an expression that no text can stand for."""


def texts_of(pattern: str) -> tuple[Text, ...]:
    """What an expression stands for; raises NoTextError.

    >>> texts_of("/a/.*|/b"), texts_of("GE?T")
    Traceback (most recent call last):
        ...
    tulle.compile.http.literals.NoTextError: it has '?'
    """
    trimmed = pattern.removeprefix("^")
    if trimmed.endswith("$") and not trimmed.endswith("\\$"):
        trimmed = trimmed[:-1]
    if trimmed != pattern and "|" in trimmed:
        raise NoTextError("it has '^' or '$' beside '|'")
    reader = _Reader(trimmed)
    found = reader.choice()
    if reader.rest:
        raise NoTextError("its parentheses do not match")
    return tuple(dict.fromkeys(found))


class _Reader:
    """Walks over one expression."""

    def __init__(self, pattern: str) -> None:
        self.rest = pattern

    def choice(self) -> list[Text]:
        found = self._sequence()
        while self.rest.startswith("|"):
            self.rest = self.rest[1:]
            found += self._sequence()
        return found

    def _sequence(self) -> list[Text]:
        found = [Text("")]
        while self.rest and self.rest[0] not in "|)":
            found = _joined(found, self._next())
        return found

    def _next(self) -> list[Text]:
        char = self.rest[0]
        if self.rest.startswith(_ANY) and self.rest[2:3] not in ("?", "+", "*", "{"):
            self.rest = self.rest[2:]
            return [Text("", open=True)]
        if char == "(":
            return self._group()
        if char == "\\":
            return [self._escaped()]
        if char in _SPECIAL or not char.isprintable():
            raise NoTextError(f"it has {char!r}")
        self.rest = self.rest[1:]
        self._once()
        return [Text(char)]

    def _group(self) -> list[Text]:
        self.rest = self.rest[1:].removeprefix("?:")
        if self.rest.startswith("?"):
            raise NoTextError("it has flags")
        found = self.choice()
        if not self.rest.startswith(")"):
            raise NoTextError("its parentheses do not match")
        self.rest = self.rest[1:]
        self._once()
        return found

    def _escaped(self) -> Text:
        char = self.rest[1:2]
        if not char or char.isalnum() or not char.isascii() or not char.isprintable():
            raise NoTextError(f"it has '\\{char}'")
        self.rest = self.rest[2:]
        self._once()
        return Text(char)

    def _once(self) -> None:
        if self.rest[:1] in ("*", "+", "?", "{"):
            raise NoTextError(f"it has {self.rest[0]!r}")


def _joined(first: list[Text], then: list[Text]) -> list[Text]:
    """Every text of `first`, followed by every one of `then`."""
    if any(text.open for text in first) and then != [Text("", open=True)]:
        raise NoTextError("it has '.*' that is not at its end")
    found = [Text(a.start + b.start, a.open or b.open) for a in first for b in then]
    if len(found) > MAX_TEXTS:
        raise NoTextError(f"it stands for more than {MAX_TEXTS} texts")
    return found
