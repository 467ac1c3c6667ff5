"""Cells: the first line that matches decides, and prefixes say exactly that."""

from __future__ import annotations

from random import Random

from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.compile.lines import line
from tulle.abi import PolicyPrefix
from tulle.compile.cells import NOBODY, Cell, Decision, Match, cells, port_prefixes
from tulle.compile.lines import ANY_PROTOCOL, Line, Span
from tulle.compile.rules import Action, Layer7, Tier

TCP, UDP, ICMP = 6, 17, 1
PORTS = (0, 1, 79, 80, 81, 443, 1023, 1024, 32768, 65535)

ranges = st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(sorted).map(tuple)


def covered(first: int, last: int) -> list[int]:
    return [
        number
        for port, bits in port_prefixes(first, last)
        for number in range(port, port + (1 << (16 - bits)))
    ]


@given(ranges)
@example((1, 65535))
@example((0, 65535))
@example((65535, 65535))
def test_prefixes_cover_a_range_exactly_and_once(ends: tuple[int, int]) -> None:
    first, last = ends
    assert covered(first, last) == list(range(first, last + 1))


@given(ranges)
def test_prefixes_are_aligned_and_few(ends: tuple[int, int]) -> None:
    found = port_prefixes(*ends)
    assert all(port % (1 << (16 - bits)) == 0 for port, bits in found)
    # a block cut into aligned ones needs at most two of each size
    assert len(found) <= 2 * 15
    assert all(sum(bits == other for _, other in found) <= 2 for _, bits in found)


def found_in(decided: tuple[Cell, ...], protocol: int, port: int) -> Decision:
    """As the kernel looks it up: the longest prefix."""
    best = Cell(-1, 0, 0, Decision(NOBODY))
    for cell in decided:
        bits = cell.prefix - PolicyPrefix.PORT
        same = cell.protocol == protocol and cell.port >> (16 - bits) == port >> (16 - bits)
        if (cell.prefix == PolicyPrefix.ANY or same) and cell.prefix > best.prefix:
            best = cell
    assert best.prefix >= 0
    return best.decision


def about(item: Line, protocol: int, port: int) -> bool:
    return any(of in (protocol, ANY_PROTOCOL) and a <= port <= b for of, a, b in item.spans)


def decided(lines: list[Line], protocol: int, port: int) -> int:
    """The words of `rules`, line by line."""
    passed: Tier | None = None
    for position, item in enumerate(lines):
        if item.tier is passed:
            continue
        if about(item, protocol, port):
            if item.action is not Action.PASS:
                return position
            passed = item.tier
    return NOBODY


def asked(lines: list[Line], decider: int, protocol: int, port: int) -> tuple[int, ...]:
    """All lines of layer 7, if the one that decides is one of them."""
    if decider == NOBODY or lines[decider].layer7 is None:
        return ()
    return tuple(
        position
        for position, item in enumerate(lines)
        if item.layer7 is not None and about(item, protocol, port)
    )


def expected(lines: list[Line], protocol: int, port: int) -> Decision:
    audited = [item._replace(spans=()) if item.audit else item for item in lines]
    now, strict = decided(audited, protocol, port), decided(lines, protocol, port)

    def denies(position: int) -> bool:
        return position != NOBODY and lines[position].action is Action.DENY

    audit = strict if denies(strict) and not denies(now) else NOBODY
    found = asked(audited, now, protocol, port)
    if not found and not denies(now):
        found = asked(lines, strict, protocol, port)
    return Decision(now, audit, found)


def random_spans(rng: Random) -> tuple[Span, ...]:
    spans: list[Span] = []
    for _ in range(rng.randint(0, 3)):
        if rng.random() < 0.2:
            spans.append((rng.choice((ANY_PROTOCOL, TCP, UDP)), 0, 65535))
            continue
        first, last = sorted((rng.choice(PORTS), rng.choice(PORTS)))
        spans.append((rng.choice((TCP, TCP, UDP, ICMP)), first, last))
    return tuple(spans)


def reading(rng: Random, lines: list[Line]) -> list[Line]:
    """With lines of layer 7, which stand behind the others of their tier, and a default denial."""
    rest = [item for item in lines if item.tier is Tier.BASELINE]
    before = lines[: len(lines) - len(rest)]
    for number in range(rng.randint(0, 3)):
        spans = tuple((TCP, first, last) for _, first, last in random_spans(rng))
        part = Layer7(f"toPorts[{number}]")
        before.append(line(Action.ALLOW, spans, audit=rng.random() < 0.2, layer7=part))
    if rng.random() < 0.5:
        before.append(line(Action.DENY, audit=rng.random() < 0.2))
    return [*before, *rest]


def test_the_first_line_that_matches_decides() -> None:
    rng = Random(4)
    for _ in range(400):
        tiers = sorted(rng.choices(list(Tier), k=rng.randint(0, 6)))
        lines = []
        for tier in tiers:
            ranked = tier is not Tier.NAMESPACE
            actions = list(Action) if ranked else [Action.ALLOW, Action.DENY]
            lines.append(
                line(rng.choice(actions), random_spans(rng), tier, audit=rng.random() < 0.2)
            )
        lines = reading(rng, lines)
        result = cells([Match(number, item, item.spans) for number, item in enumerate(lines)])
        assert len({cell[:3] for cell in result}) == len(result)
        for protocol in (TCP, UDP, ICMP, 132):
            for port in {*PORTS, *(port + 1 for port in PORTS[:-1])}:
                assert found_in(result, protocol, port) == expected(lines, protocol, port)


def test_what_most_ports_have_in_common_is_said_once() -> None:
    lines = [line(Action.DENY, ((TCP, 22, 22),)), line(Action.ALLOW, ((TCP, 0, 65535),))]
    result = cells([Match(number, item, item.spans) for number, item in enumerate(lines)])
    assert result == (
        Cell(PolicyPrefix.ANY, 0, 0, Decision(NOBODY)),
        Cell(PolicyPrefix.PORT, TCP, 0, Decision(1)),
        Cell(PolicyPrefix.FULL, TCP, 22, Decision(0)),
    )


def test_lines_of_layer_7_share_what_no_other_line_allows() -> None:
    part = Layer7("toPorts[0]")
    lines = [
        line(Action.ALLOW, ((TCP, 443, 443),)),
        line(Action.ALLOW, ((TCP, 80, 81),), layer7=part),
        line(Action.ALLOW, ((TCP, 81, 443),), layer7=part),
        line(Action.DENY),
    ]
    result = cells([Match(number, item, item.spans) for number, item in enumerate(lines)])
    assert found_in(result, TCP, 443) == Decision(0)
    assert found_in(result, TCP, 80) == Decision(1, asked=(1,))
    assert found_in(result, TCP, 81) == Decision(1, asked=(1, 2))
    assert found_in(result, TCP, 82) == Decision(2, asked=(2,))
    assert found_in(result, TCP, 79) == Decision(3)
