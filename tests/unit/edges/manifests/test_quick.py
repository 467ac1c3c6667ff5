"""What is read quickly is what would have been read carefully."""

import json
import random
from typing import Any

import pytest

from tests.hostile.manifests import hostile_manifests
from tests.hostile.valid import VALID
from tulle.edges.manifests import parse, quick


def carefully(data: bytes, monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(quick, "read", lambda _: None)
        return parse(data, "x")


def listed(*items: Any) -> Any:
    return {"apiVersion": "v1", "kind": "List", "items": items}


@pytest.mark.parametrize("indent", [None, 2])
def test_valid_objects_read_alike(indent: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for document in (*VALID, listed(*VALID), listed(*VALID, *VALID)):
        data = b"\n \n" + json.dumps(document, indent=indent).encode()
        parsed = parse(data, "x")
        assert parsed.objects and parsed == carefully(data, monkeypatch)


def test_most_of_the_valid_are_read_quickly() -> None:
    quickly = [document for document in VALID if quick.read(json.dumps(document).encode())]
    assert len(quickly) > len(VALID) / 2


def test_hostile_manifests_read_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, data in hostile_manifests():
        assert str(parse(data, "x")) == str(carefully(data, monkeypatch)), name


NAMESPACE = b'{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}, "spec": %s}'


@pytest.mark.parametrize(
    "spec",
    [
        b"null",
        b"1.0",
        b"1e3",
        b"-0",
        b"012",
        b"123456789012345678901",
        b'"\\u0000"',
        b'"\\/"',
        b'"\xc2\x85"',
        b'"\x7f"',
        b'{"<<": {"a": 1}}',
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": {"c": 1, "c": 2}}}',
        b'{"a:": ":", "b": "{[,"}',
        b"[true, false, [], {}, -1, 0]",
        b"[" * 63 + b"]" * 63,
        b"[" * 64 + b"]" * 64,
        b"[" * 5000 + b"]" * 5000,
        b'["' + b"{" * 100 + b'"]',
        b"[" + b"0," * 200_000 + b"0]",
        b"[1,]",
        b"true} # remark\n",
        b'1}\n---\n{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "b"}',
    ],
)
def test_odd_values_read_alike(spec: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    data = NAMESPACE % spec
    assert str(parse(data, "x")) == str(carefully(data, monkeypatch))


def test_random_slips_read_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(5)
    texts = [json.dumps(document, indent=rng.choice((None, 1))).encode() for document in VALID]
    for _ in range(600):
        data = bytearray(rng.choice(texts))
        for _ in range(rng.randrange(1, 3)):
            at = rng.randrange(len(data))
            data[at : at + rng.randrange(3)] = rng.choice((b"", b'"', b"0", b"{", b"]", b",", b" "))
        assert str(parse(bytes(data), "x")) == str(carefully(bytes(data), monkeypatch)), data
