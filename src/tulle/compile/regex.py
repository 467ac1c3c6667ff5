"""Regular expressions as the proxy reads them: RE2 over bytes, always of the whole text."""

from __future__ import annotations

from functools import lru_cache

import re2

from tulle.errors import printable

MAX_LENGTH = 1024
MAX_PROGRAM = 2000  # instructions; the proxy is started with the same limit

_OPTIONS = re2.Options()
_OPTIONS.encoding = re2.Options.Encoding.LATIN1  # bytes stand for themselves, as in Envoy
_OPTIONS.log_errors = False


def problem(pattern: str) -> str:
    """Why the proxy would not take a pattern; "" if it does."""
    raw = pattern.encode()
    if len(raw) > MAX_LENGTH:
        return f"is {len(raw)} bytes long, more than {MAX_LENGTH}"
    try:
        size = _compiled(raw).programsize
    except re2.error as error:
        return f"is no regular expression of RE2: {_words(error)}"
    if size > MAX_PROGRAM:
        return f"comes to {size} instructions of RE2, more than {MAX_PROGRAM}"
    return ""


def fullmatch(pattern: str, text: str) -> bool:
    """Whether the whole of `text` matches; a pattern that has a problem matches nothing."""
    if problem(pattern):
        return False
    return _compiled(pattern.encode()).fullmatch(text.encode()) is not None


@lru_cache(maxsize=1024)
def _compiled(raw: bytes) -> re2._Regexp:
    return re2.compile(raw, _OPTIONS)


def _words(error: re2.error) -> str:
    reason = error.args[0]
    return printable(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason))
