"""Session affinity when the numbers of services and backends have changed."""

from __future__ import annotations

import sys

from tulle.edges.bpf.affinity import Row, names, translate

FIRST, SECOND, VIRTUAL = 1, 2, 9


def at(address: int, port: int, **more: int) -> dict[str, int]:
    words = {f"addr.word[{index}]": 0 for index in range(3)}
    return {**words, "addr.word[3]": address, "port": port, **more}


def service(number: int, port: int = 80) -> Row:
    return at(VIRTUAL, port, proto=6), {"id": number}


def backend(number: int, of: int, address: int) -> Row:
    return {"": number}, at(address, 8080, service=of)


def remembered(service: int, backend: int, **client: int) -> Row:
    return {**client, "service": service}, {"last_used_ns": 5, "backend": backend}


OLD = names([service(1)], [backend(11, 1, FIRST), backend(12, 1, SECOND)])
NEW = names([service(7)], [backend(1 << 60, 7, FIRST), backend(2 << 60, 7, SECOND)])
CLIENT = {f"client.word[{index}]": index for index in range(4)}


def test_an_entry_goes_on_under_the_new_numbers() -> None:
    assert list(translate([remembered(1, 12, **CLIENT)], OLD, NEW)) == [
        ({**CLIENT, "service": 7}, {"last_used_ns": 5, "backend": 2 << 60})
    ]


def test_a_namespace_that_was_a_plain_number_stands_in_the_address() -> None:
    ((key, _),) = translate([remembered(1, 11, client=0x0000000500001234)], OLD, NEW)
    raw = b"".join(key.get(f"client.word[{i}]", 0).to_bytes(4, "big") for i in range(4))
    high, low = (int.from_bytes(raw[i : i + 4], sys.byteorder) for i in (8, 12))
    assert (raw[:8], high, low) == (bytes(8), 5, 0x1234)


def test_what_is_there_no_more_is_left_out() -> None:
    gone = names([service(7)], [backend(1 << 60, 7, FIRST)])
    assert not list(translate([remembered(1, 12, **CLIENT)], OLD, gone))
    assert not list(translate([remembered(1, 11, **CLIENT)], OLD, names([service(7, 81)], [])))
    assert not list(translate([remembered(1, 99, **CLIENT)], OLD, NEW))
    assert not list(translate([remembered(2, 11, **CLIENT)], OLD, NEW))
