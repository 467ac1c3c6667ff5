"""Where in an object an error is: a path of field names and list positions."""

from __future__ import annotations

import json
import re

from tulle.errors import ManifestError, printable

Path = tuple[str | int, ...]

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}")
_SHOWN_CHARS = 60
_SHOWN_STEPS = 12


class FieldError(ManifestError):
    """A field that is refused; whoever knows the file adds line and column.

    >>> str(FieldError("must be 1 to 65535", "spec", "ports", 1, "port"))
    'spec.ports[1].port: must be 1 to 65535'
    """

    def __init__(self, reason: str, *path: str | int) -> None:
        self.path: Path = path
        super().__init__(reason, field=show_path(path))


def show_path(path: Path) -> str:
    """`spec.ports[1].port`; keys that are not plain field names stand quoted in brackets."""
    shown = ""
    for step in path[:_SHOWN_STEPS]:
        if isinstance(step, int):
            shown += f"[{step}]"
        elif _PLAIN.fullmatch(step):
            shown += f".{step}" if shown else step
        else:
            shown += f"[{quote(step)}]"
    return shown + "…" * (len(path) > _SHOWN_STEPS)


def quote(text: str) -> str:
    """User's text for an error: on one line, short, and without control characters."""
    cut = text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
    return printable(json.dumps(cut, ensure_ascii=False))
