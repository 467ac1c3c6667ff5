"""Hostile files that no mutation of a manifest makes: bombs, cycles, binary, broken YAML."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from .valid import NAMESPACE, SERVICE

_MIB = 1 << 20
_HEAD = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n"


def raw_manifests() -> Iterator[tuple[str, bytes]]:
    yield from ((name, text.encode()) for name, text in _texts())
    yield from _binaries()


def _texts() -> Iterator[tuple[str, str]]:
    yield from _not_yaml()
    yield from _not_objects()
    yield from _aliases()
    yield from _large()
    yield from _words()


def _not_yaml() -> Iterator[tuple[str, str]]:
    yield "unclosed-flow", _HEAD + "  labels: {a: b"
    yield "unclosed-list", _HEAD + "  labels: [a"
    yield "unclosed-quote", _HEAD + '  labels: {a: "b}\n'
    yield "tab-indent", "apiVersion: v1\nkind: Namespace\nmetadata:\n\tname: shop\n"
    yield "bad-indent", _HEAD + " oops: 1\n"
    yield "two-colons", "kind: a: b\n"
    yield "bad-escape", 'kind: "\\q"\n'
    yield "percent", "%\n"[:1] + "x: 1\n--- x: [\n"
    yield "tag-directive", _HEAD + "...\n%TAG ! tag:example.org,2000:\n---x\n"
    yield "stray-bracket", _HEAD + "]\n"
    yield "json-trailing", json.dumps(NAMESPACE) + "}"
    yield "json-cut", json.dumps(SERVICE)[:-40]
    yield "json-twice", json.dumps(NAMESPACE) * 2
    yield "at-sign", "kind: @Namespace\n"
    yield "backtick", "kind: `Namespace`\n"


def _not_objects() -> Iterator[tuple[str, str]]:
    for name, text in {
        "text": "hello",
        "number": "42",
        "list": "- a\n- b\n",
        "empty-map": "{}",
        "empty-list": "[]",
        "bool": "yes",
        "html": "<html><body>404</body></html>",
        "shell": "#!/bin/sh\nrm -rf / && echo done\n",
        "ini": "[section]\nkey=value\n",
        "toml": 'kind = "Namespace"\n',
    }.items():
        yield f"not-an-object-{name}", text
    for name, document in {
        "no-version": {"kind": "List", "items": []},
        "items-map": {"apiVersion": "v1", "kind": "List", "items": {}},
        "items-missing": {"apiVersion": "v1", "kind": "List"},
        "unknown-field": {"apiVersion": "v1", "kind": "List", "items": [], "extra": 1},
        "list-in-list": {
            "apiVersion": "v1",
            "kind": "List",
            "items": [{"apiVersion": "v1", "kind": "List", "items": [NAMESPACE]}],
        },
        "null-item": {"apiVersion": "v1", "kind": "List", "items": [None]},
        "text-item": {"apiVersion": "v1", "kind": "List", "items": ["Namespace"]},
    }.items():
        yield f"list-{name}", json.dumps(document)
    for kind in (
        "Deployment",
        "IngressRoute",
        "SealedSecret",
        "\u202eecivreS",
        "a" * 10_000,
        "Pod\n\x1b[2J",
    ):
        yield f"kind-{kind[:12]!a}", json.dumps({**NAMESPACE, "kind": kind})


def _aliases() -> Iterator[tuple[str, str]]:
    yield "cycle-self", "a: &a [*a]\n"
    yield "cycle-root", "&r\nkind: Namespace\nmetadata: *r\n"
    yield "cycle-deep", "a: &a {b: {c: [1, *a]}}\n"
    yield "alias-unknown", _HEAD + "  labels: *nothing\n"
    yield "alias-other-document", "# first\n" + _HEAD + "  labels: *base\n"
    yield "alias-as-key", "a: &a b\n*a : c\n"
    yield "merge-key", "a: &a {b: c}\nd:\n  <<: *a\n"
    yield "merge-list", "a: &a {b: c}\nd:\n  <<: [*a, *a]\n"
    for width, name in ((2, "two"), (10, "laughs"), (100, "hundred")):
        lines = ["a0: &a0 [x, x]"]
        for level in range(1, 40):
            lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]")
        yield f"bomb-list-{name}", "\n".join(lines)
    maps = ["a0: &a0 {x: y}"]
    for level in range(1, 40):
        keys = ", ".join(f"k{index}: *a{level - 1}" for index in range(8))
        maps.append(f"a{level}: &a{level} {{{keys}}}")
    yield "bomb-maps", "\n".join(maps)
    yield "bomb-text", f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 1000)}]\n"
    yield "deep-by-alias", _staircase()


def _staircase() -> str:
    """Each step hangs the one before 30 levels lower: deep only once expanded."""
    lines = ["s0: &s0 x"]
    for level in range(1, 6):
        lines.append(f"s{level}: &s{level} {'[' * 30}*s{level - 1}{']' * 30}")
    return "\n".join(lines)


def _large() -> Iterator[tuple[str, str]]:
    yield "too-large", _HEAD + "#" * _MIB
    yield "flow-depth", "[" * 100_000
    yield "flow-depth-closed", "a: " + "[" * 1000 + "]" * 1000
    yield "map-depth", "{a: " * 50_000
    yield "block-depth", "- " * 100_000
    yield "key-depth", "? " * 100_000
    yield "indent-depth", "\n".join(" " * n + "a:" for n in range(1000))
    yield "many-values", "[" + "a," * 500_000 + "]"
    yield "many-keys", "".join(f"k{n}: 1\n" for n in range(90_000))
    yield "many-documents", "--- a\n" * 100_000
    yield "many-items", "kind: List\napiVersion: v1\nitems: [" + "a," * 20_000 + "]"
    yield "long-scalar", "kind: " + "a" * 1_000_000
    yield "long-key", "a" * 1_000_000 + ": b"
    yield "long-quoted", 'kind: "' + "\\n" * 500_000 + '"'
    yield "huge-int", _HEAD + "  generation: " + "9" * 500_000
    yield "huge-float", _HEAD + "  generation: 1e" + "9" * 1000


def _words() -> Iterator[tuple[str, str]]:
    for value in (
        *(".nan", ".inf", "-.inf", "1e999", "0x10", "0o17", "017", "0b1", "1_000"),
        *("99999999999999999999", "-99999999999999999999", "1.5", "2024-01-01", "1:30"),
        *("!!int '1'", "!!binary aGVsbG8=", "!!python/object:os.system x", "!custom 1"),
        *("!!set {a}", "!!timestamp 2024-01-01", "!!float 1", "!!omap [a: 1]", "=", "yes"),
    ):
        yield f"generation={value}", f"{_HEAD}  generation: {value}\n"
    for key in (
        "1",
        "true",
        "null",
        "~",
        "1.5",
        "on",
        "[a]",
        "{a: b}",
        "? [a]\n  ",
        "<<",
        "!!str <<",
    ):
        yield f"label-key={key!a}", f"{_HEAD}  labels:\n    {key}: web\n"
    for value in (
        "1",
        "1.10",
        "true",
        "no",
        "~",
        "",
        "[a]",
        "{a: b}",
        "!!int 1",
        "0x1f",
        "on",
        "y",
    ):
        yield f"label-value={value}", f"{_HEAD}  labels:\n    app: {value}\n"
    yield "duplicate-name", _HEAD + "  name: again\n"
    yield "duplicate-kind", _HEAD + "kind: Service\n"
    yield "duplicate-quoted", _HEAD + '  "name": shop\n'
    yield "duplicate-label", _HEAD + "  labels: {a: b, a: b}\n"
    yield "nul-escape", _HEAD + '  labels: {a: "\\0"}\n'
    yield "newline-field", _HEAD + '  "bad\\nfield": 1\n'
    yield "escape-field", _HEAD + '  "\\e[2J": 1\n'
    yield "backtick-field", _HEAD + '  "x` - at `$.spec": 1\n'


def _binaries() -> Iterator[tuple[str, bytes]]:
    noise = random.Random(0x7A11)
    yield "nul", b"\0"
    yield "nul-inside", _HEAD.encode() + b"  uid: a\0b\n"
    yield "bell", _HEAD.encode() + b"  uid: a\x07b\n"
    yield "escape", _HEAD.encode() + b"  uid: a\x1b[31mb\n"
    yield "delete", _HEAD.encode() + b"  uid: a\x7fb\n"
    yield "latin-1", _HEAD.encode() + b"  uid: caf\xe9\n"
    yield "utf-16", _HEAD.encode("utf-16")
    yield "utf-32", _HEAD.encode("utf-32")
    yield "overlong", _HEAD.encode() + b"  uid: \xc0\xaf\n"
    yield "surrogate", _HEAD.encode() + b"  uid: \xed\xa0\x80\n"
    yield "noncharacter", _HEAD.encode() + "  uid: \uffff\n".encode()
    yield "bom-inside", _HEAD.encode() + b"  \xef\xbb\xbfuid: x\n"
    yield "elf", b"\x7fELF\x02\x01\x01" + bytes(64)
    yield "gzip", b"\x1f\x8b\x08\x00" + noise.randbytes(200)
    yield "png", b"\x89PNG\r\n\x1a\n" + noise.randbytes(200)
    for size in (1, 16, 1000, 100_000):
        yield f"noise-{size}", b"\xff" + noise.randbytes(size)
