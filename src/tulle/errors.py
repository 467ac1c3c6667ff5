"""The error tree. The class says what a caller should do; the message speaks to the user.

TulleError
├── Refused            the input is wrong: report it, do not retry
│   ├── ManifestError  a manifest, with file, line, column and field
│   └── UsageError     a command that cannot be carried out as given
├── Unavailable        it may work later: retry with back-off
│   └── AgentDown      nobody listens on the node's socket
└── Broken             the machine or the build lacks something: stop
    ├── KernelError    a bpf(2) or netlink call failed; carries errno and the verifier's log
    └── AbiMismatch    BPF object and Python side come from different sources
"""

from __future__ import annotations

import os


class TulleError(Exception):
    """Base of all errors that Tulle raises on purpose."""


class Refused(TulleError):
    """The input is wrong; the same input will be refused again."""


class ManifestError(Refused):
    """A manifest that is refused, told as `file:line:col: field: reason`."""

    def __init__(
        self, reason: str, *, file: str = "", line: int = 0, column: int = 0, field: str = ""
    ) -> None:
        self.reason, self.file, self.line, self.column, self.field = (
            reason,
            file,
            line,
            column,
            field,
        )
        place = f"{file}:{line}:{column}" if line else file
        super().__init__(": ".join(part for part in (place, field, reason) if part))


class UsageError(Refused):
    """A command that cannot be carried out as it was given."""


class Unavailable(TulleError):
    """Something is away; trying again later may work."""


class AgentDown(Unavailable):
    """Nobody answers on the node's agent socket."""


class Broken(TulleError):
    """The machine or the build lacks something; trying again will not help."""


class KernelError(Broken):
    """A kernel call failed.

    >>> str(KernelError(28, "map 'policy' update"))
    "map 'policy' update: No space left on device"
    """

    def __init__(self, errno: int, doing: str, log: str = "") -> None:
        self.errno, self.log = errno, log
        super().__init__(f"{doing}: {os.strerror(errno)}" + (f"\n{log}" if log else ""))


class AbiMismatch(Broken):
    """The BPF object was not built from the sources that the Python side was generated from."""


def printable(text: str) -> str:
    """Of words that are somebody else's: nothing in them may command a terminal.

    >>> printable("a\x1b[31m é")
    'a\\\\u001b[31m é'
    """
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
