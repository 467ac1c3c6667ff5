"""What an API server says instead of an answer, as errors that tell what a caller should do.

ApiError (Unavailable)   any other status: try again with back-off
├── Forbidden            403: this identity may not; a role has to change
├── NotFound             404: no such object, or no such kind
├── Conflict             409: somebody else was first, look again
├── Gone                 410: so old a version is forgotten, list again
└── Invalid              422: the object is refused as it is
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tulle.errors import Unavailable, printable

MESSAGE_CHARS = 1024
_MAX_RETRY_AFTER_S = 300.0


class ApiError(Unavailable):
    """An answer that is no success; `retry_after_s` is 0 if the server named no time."""

    def __init__(
        self, status: int, reason: str = "", message: str = "", retry_after_s: float = 0.0
    ) -> None:
        self.status, self.reason, self.message = status, reason, message
        self.retry_after_s = retry_after_s
        words = " ".join(part for part in (str(status), reason) if part)
        super().__init__(f"API server: {words}" + (f": {message}" if message else ""))


class Forbidden(ApiError):
    """This identity may not do that."""


class NotFound(ApiError):
    """There is no such object, or the server does not know the kind."""


class Conflict(ApiError):
    """The object has changed since, exists already, or a field belongs to somebody else."""


class Gone(ApiError):
    """The server has forgotten the version that was asked for."""


class Invalid(ApiError):
    """The server refuses the object."""


_CLASSES: Mapping[int, type[ApiError]] = {
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
}


class _Details(msgspec.Struct):
    retry_after_s: float | None = msgspec.field(default=None, name="retryAfterSeconds")


class _Status(msgspec.Struct):
    code: int | None = None
    reason: str | None = None
    message: str | None = None
    details: _Details | None = None


def error_of(status: int, body: bytes, retry_after: str = "") -> ApiError:
    """Of an answer's status, its body, which may be anything, and its Retry-After header."""
    try:
        said = msgspec.json.decode(body, type=_Status)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        said = _Status(message=body[:MESSAGE_CHARS].decode(errors="replace").strip())
    wait_s = said.details.retry_after_s if said.details else None
    return _make(status, said, wait_s or _seconds(retry_after))


def error_of_event(body: bytes) -> ApiError:
    """Of the Status that an ERROR event of a watch carries."""
    try:
        said = msgspec.json.decode(body, type=_Status)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        said = _Status(message="a watch ended with an error that cannot be read")
    return _make(said.code or 500, said, said.details.retry_after_s if said.details else None)


def _make(status: int, said: _Status, wait_s: float | None) -> ApiError:
    return _CLASSES.get(status, ApiError)(
        status,
        printable((said.reason or "")[:64]),
        printable((said.message or "")[:MESSAGE_CHARS]),
        min(max(wait_s or 0.0, 0.0), _MAX_RETRY_AFTER_S),
    )


def _seconds(header: str) -> float:
    return float(header) if header.isascii() and header.isdecimal() else 0.0
