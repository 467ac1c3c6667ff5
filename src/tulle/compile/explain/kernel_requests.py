"""Which requests the kernel reads at all: the reference model of what it answers with 400.

It takes the head of a request as a whole, in the form in which it comes: nothing is made normal on
the way to the server.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from tulle.abi import HttpLimit

from .cilium_requests import settled
from .requests import Request

_METHOD_LENGTH = 15
_IN_PATH = re.compile(r"/[^\[\]]*")  # of what is in its normal form
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOST = re.compile(r"[0-9A-Za-z._:\[\]-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")
_FRAMING = {
    "content-length": re.compile(r"[0-9]{1,18}"),
    "transfer-encoding": re.compile(r"chunked", re.IGNORECASE),
    "upgrade": re.compile(r"websocket", re.IGNORECASE),
}
_KNOWN = ("host", *_FRAMING)


def unreadable(request: Request, asked: Collection[str] = ()) -> str:
    """What about an HTTP/1.1 request can be read in more than one way; "" if nothing can.

    `asked` are the names of headers, in lower case, that rules look at.
    """
    if not _TOKEN.fullmatch(request.method) or len(request.method) > _METHOD_LENGTH:
        return "its method"
    if not _HOST.fullmatch(request.host):
        return "its host"
    if settled(request) != request or not _IN_PATH.fullmatch(request.path.partition("?")[0]):
        return "its path"
    for name, value in request.headers:
        if not _is_plain(name, value, asked):
            return f"the header {name!r}"
    if _size(request) > HttpLimit.HEAD_MAX:
        return f"its length: more than {HttpLimit.HEAD_MAX:d} bytes"
    return _framing(request)


def _is_plain(name: str, value: str, asked: Collection[str]) -> bool:
    """Some servers take an underscore for a hyphen."""
    if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        return False
    key = name.lower()
    meant = key.replace("_", "-")
    return key != "host" and (meant == key or not (meant in _KNOWN or meant in asked))


def _framing(request: Request) -> str:
    """How long it is, and what it becomes."""
    said: dict[str, str] = {}
    for name, value in request.headers:
        key = name.lower()
        if key in _FRAMING:
            if key in said or not _FRAMING[key].fullmatch(value.strip(" \t")):
                return f"the header {name!r}"
            said[key] = value
    if "transfer-encoding" in said and "content-length" in said:
        return "its length"
    has_body = "transfer-encoding" in said or int(said.get("content-length", "0"))
    return "its upgrade" if "upgrade" in said and has_body else ""


def _size(request: Request) -> int:
    lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: {request.host}"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    text = "\r\n".join([*lines, "", ""])
    return len(text.encode(errors="surrogateescape"))
