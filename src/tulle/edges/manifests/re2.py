"""Regular expressions as the node's proxy reads them: RE2's syntax, checked before it sees them.

What RE2 cannot do, Python's `re` can, and the other way round: what only Python has is refused, and
what only RE2 has is replaced by something alike before Python is asked whether the rest is whole.
"""

from __future__ import annotations

import re
import warnings

from .fields import FieldError, quote

_MAX_REPEAT = 1000  # RE2's own
_MAX_CHARS = 4096

_ESCAPE = re.compile(r"\\(?:[pP](?:\{\^?\w+\}|[A-Z])|x\{[0-9a-fA-F]+\}|.)", re.DOTALL)
_NOT_RE2 = re.compile(r"\(\?(?:<?[=!]|P[=>]|[(>#|])|(?:[*+?]|\})\+")
_REPEAT = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_POSIX_CLASS = re.compile(r"\[:\^?\w+:\]")
_ONLY_RE2 = {"z": r"\Z", "C": ".", "Q": "", "E": ""}
_SIMPLE = set("AbBdDsSwWafnrtv") | set(r".\+*?()|[]{}^$-/:;<>=!@#%&~`'\"_, ")


def check_re2(text: str, *path: str | int) -> None:
    """Raises FieldError."""
    if len(text) > _MAX_CHARS:
        raise FieldError(f"is longer than {_MAX_CHARS} characters", *path)
    bare = _ESCAPE.sub("", text)
    if bad := _NOT_RE2.search(bare):
        raise FieldError(f"{quote(bad[0])} is not in RE2's regular expressions", *path)
    for repeat in _REPEAT.finditer(bare):
        if max(int(number) for number in repeat.groups("0") if number) > _MAX_REPEAT:
            raise FieldError(f"repeats more than {_MAX_REPEAT} times", *path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(_POSIX_CLASS.sub("a", _ESCAPE.sub(_escape, text)))
    except (re.error, RecursionError, OverflowError) as error:
        reason = f"{quote(text)} is not a regular expression: {error}"
        raise FieldError(reason, *path) from error
    except FieldError as error:
        raise FieldError(error.reason, *path) from error


def _escape(found: re.Match[str]) -> str:
    """Something that Python reads, of the same kind."""
    char = found[0][1]
    if len(found[0]) > 2:
        return "a"
    if char in _ONLY_RE2:
        return _ONLY_RE2[char]
    if char in _SIMPLE or char in "x01234567":
        if char in "1234567":
            raise FieldError(f"{quote(found[0])}: RE2 has no references back")
        return found[0]
    raise FieldError(f"{quote(found[0])} is not in RE2's regular expressions")
