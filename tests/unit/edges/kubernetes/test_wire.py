"""Pages, events and lines, also those that no server should send."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tulle.edges.kubernetes.wire import Lines, Unreadable, read_event, read_page, read_rest


def test_a_page() -> None:
    body = b"""{"metadata": {"resourceVersion": "9", "continue": "x"}, "items": [
        {"metadata": {"name": "a", "namespace": "n", "resourceVersion": "4"}, "spec": {"b": 1}},
        {"metadata": {"name": "c"}}]}"""
    page = read_page(body)
    assert (page.version, page.rest) == ("9", "x")
    assert [item.key for item in page.items] == [("n", "a"), ("", "c")]
    assert page.items[0].version == "4"
    assert json.loads(page.items[0].raw)["spec"] == {"b": 1}
    assert read_rest(body) == "x"


def test_an_empty_list_may_have_no_items() -> None:
    assert read_page(b'{"metadata": {"resourceVersion": "9"}, "items": null}').items == []
    assert read_page(b'{"metadata": {"resourceVersion": "9"}}').rest == ""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"items": []}',
        b'{"metadata": {}, "items": [{}]}',
        b'{"metadata": {}, "items": [{"metadata": {"name": ""}}]}',
        b'{"metadata": {"',
        b"\xff",
    ],
)
def test_no_page(body: bytes) -> None:
    with pytest.raises(Unreadable):
        read_page(body)


def test_one_that_is_nested_too_deeply_hides_no_other() -> None:
    deep = b'{"":[' * 5000 + b"]}" * 5000
    meta = b'{"name": "%%b", "resourceVersion": "4", "managedFields": [{"fieldsV1": %b}]}' % deep
    odd, fine = (b'{"metadata": %b}' % text for text in (meta % b"odd", b'{"name": "fine"}'))
    body = b'{"metadata": {"resourceVersion": "9", "continue": "x"}, "items": [%b, %b]}'
    page = read_page(body % (odd, fine))
    assert [item.key for item in page.items] == [("", "odd"), ("", "fine")]
    assert page.items[0].version == "4"
    assert (page.version, read_rest(body % (odd, fine))) == ("9", "x")
    for raw in (page.items[0].raw, read_event(b'{"type": "ADDED", "object": %b}' % odd).item.raw):
        json.loads(raw)
    with pytest.raises(Unreadable):
        read_page(body % (odd, b'{"":' * 5000))


def test_events() -> None:
    event = read_event(b'{"type": "DELETED", "object": {"metadata": {"name": "a"}}}')
    assert (event.kind, event.item.key) == ("DELETED", ("", "a"))
    error = read_event(b'{"type": "ERROR", "object": {"kind": "Status", "code": 410}}')
    assert (error.kind, error.item.raw) == ("ERROR", b'{"kind": "Status", "code": 410}')


def test_a_bookmark_is_no_object() -> None:
    line = b"""{"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": {"resourceVersion":
        "12", "creationTimestamp": null}, "spec": {"containers": null}}}"""
    event = read_event(line)
    assert (event.kind, event.item.version, event.is_initial_end) == ("BOOKMARK", "12", False)
    end = line.replace(b"null}", b'null, "annotations": {"k8s.io/initial-events-end": "true"}}', 1)
    assert read_event(end).is_initial_end


@pytest.mark.parametrize("line", [b"{}", b'{"type": "ADDED", "object": {}}', b"\xff", b'{"type'])
def test_no_event(line: bytes) -> None:
    with pytest.raises(Unreadable):
        read_event(line)


@given(st.lists(st.binary(max_size=9)), st.lists(st.integers(1, 7)))
def test_lines_are_the_same_however_they_come(lines: list[bytes], cuts: list[int]) -> None:
    lines = [line.replace(b"\n", b".") for line in lines]
    stream = b"".join(line + b"\n" for line in lines) + b"cut off"
    pieces = []
    for size in [*cuts, len(stream)]:
        pieces.append(stream[:size])
        stream = stream[size:]
    reader = Lines()
    assert [line for piece in pieces for line in reader.feed(piece)] == [
        line for line in lines if line.strip()
    ]


def test_a_line_has_an_end_somewhere() -> None:
    reader = Lines(max_bytes=10)
    assert list(reader.feed(b"0123456789\n01234")) == [b"0123456789"]
    with pytest.raises(Unreadable):
        list(reader.feed(b"567890"))
