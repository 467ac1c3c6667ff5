"""Names of the domain system, and Cilium's patterns of them."""

from __future__ import annotations

import re

MAX_NAME = 253  # characters, without the root's dot
MAX_PLAIN = 243  # of the plain labels at a name's or pattern's end, which the kernel looks up
MAX_WILD = 63  # characters that the kernel matches one by one, `*` not counted
_LABEL = re.compile(r"[-a-z0-9_]{1,63}")
_WILD_LABEL = re.compile(r"[-a-z0-9_*]{1,63}")


def normal(text: str) -> str:
    """Lower case, without the root's dot."""
    return text.lower().removesuffix(".")


def name_problem(text: str) -> str:
    """Why a text is no name that a rule can speak of; "" if it is one."""
    return _problem(text, _LABEL, "DNS name") or _plain_problem(normal(text))


def pattern_problem(text: str) -> str:
    """The same of a pattern."""
    if problem := _problem(text, _WILD_LABEL, "pattern of DNS names"):
        return problem
    front, plain = split(normal(text))
    if len(front.replace("*", "")) >= MAX_WILD:
        return f"has more than {MAX_WILD - 1} characters in front of its last `*`'s label's end"
    return _plain_problem(plain)


def _plain_problem(plain: str) -> str:
    if len(plain) > MAX_PLAIN:
        return f"ends in more than {MAX_PLAIN} characters of plain labels"
    return ""


def _problem(text: str, label: re.Pattern[str], what: str) -> str:
    name = normal(text)
    if len(name) > MAX_NAME:
        return f"is longer than {MAX_NAME} characters"
    if not all(label.fullmatch(part) for part in name.split(".")):
        return f"is no {what}"
    return ""


def split(pattern: str) -> tuple[str, str]:
    """What has a `*` in it, to the end of the last such label, and the plain labels behind.

    >>> split("sub*.example.com"), split("example.com"), split("*")
    (('sub*', 'example.com'), ('', 'example.com'), ('*', ''))
    """
    labels = pattern.split(".")
    plain = 0
    while plain < len(labels) and "*" not in labels[len(labels) - 1 - plain]:
        plain += 1
    wild = len(labels) - plain
    return ".".join(labels[:wild]), ".".join(labels[wild:])


def name_of(text: bytes, bits: int) -> str:
    """As one reads it: the kernel has names back to front.

    >>> name_of(b"moc.elpmaxe.", 96)
    'example.com'
    """
    return legible(text[: bits // 8].removesuffix(b".")[::-1])


def legible(text: bytes) -> str:
    """A workload's words, with nothing in them that commands a terminal (RFC 1035, 5.1).

    >>> legible(b"a\x1b[31m.\xff")
    'a\\027[31m.\\255'
    """
    return "".join(chr(byte) if 0x21 <= byte <= 0x7E else f"\\{byte:03d}" for byte in text)
