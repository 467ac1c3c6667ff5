"""Counters of requests go on while what they are of does. On the kernel's map: tests/datapath."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.unit.compile.explain.request_rows import ruled
from tests.unit.compile.explain.town import policy, town
from tulle.abi import HttpClass, HttpCount, HttpCountKey
from tulle.agent.tally import GONE, OTHER, REFUSED, Tally
from tulle.compile import Compiled, Ids, compile_world
from tulle.model.world import Settings

WORLD = 2
CNP = "CiliumNetworkPolicy"


class Kernel:
    """Rows as the kernel has them."""

    def __init__(self) -> None:
        self.rows: dict[HttpCountKey, HttpCount] = {}

    def count(self, key: HttpCountKey, number: int) -> None:
        self.rows[key] = HttpCount(self.rows.get(key, HttpCount()).requests + number)

    def request_counts(self) -> dict[HttpCountKey, HttpCount]:
        return dict(self.rows)

    def fold_requests(self, moves: Mapping[HttpCountKey, HttpCountKey]) -> None:
        for old, new in moves.items():
            self.count(new, self.rows.pop(old).requests)

    def forget_requests(self, gone: list[HttpCountKey]) -> None:
        for key in gone:
            del self.rows[key]


class Node:
    """Where policies come and go."""

    def __init__(self) -> None:
        self.kernel = Kernel()
        self.tally = Tally(self.kernel)
        self._ids = Ids()
        self.apply("{path: /a}")

    def apply(self, http: str, *, of: str = "shop") -> None:
        world = town(policy(f"{of}/p", ruled(http), CNP))
        self.compiled = self.compile(replace(world, settings=Settings(stream=True)))

    def compile(self, world: Any) -> Compiled:
        compiled = compile_world(world, self._ids)
        self._ids = compiled.ids
        self.tally.note(compiled)
        return compiled

    @property
    def set(self) -> int:
        (number,) = self.compiled.memo.isolation.rule_sets
        return number

    @property
    def someone(self) -> int:
        return next(number for number in self.compiled.identities if number >= 256)

    def count(self, number: int, rule: int = 0, status: int = 2) -> None:
        self.kernel.count(HttpCountKey(WORLD, self.someone, rule, self.set, status), number)

    def prune(self) -> None:
        """Twice, as nothing is touched that was counted since the last time."""
        for _ in range(2):
            self.tally.prune(self.compiled)

    def shown(self) -> dict[tuple[str, int], int]:
        series = self.tally.series(self.compiled)
        return {(route, status): count.requests for (*_, route, status), count in series.items()}


def test_a_route_goes_on_under_another_set() -> None:
    node = Node()
    node.count(5)
    node.count(1, status=HttpClass.REFUSED)
    old = node.set
    node.apply("{path: /b}, {path: /a}")
    assert node.set != old
    node.count(2, rule=1)
    whole = {("/a", 2): 7, (REFUSED, HttpClass.REFUSED): 1}
    assert node.shown() == whole
    node.prune()
    assert node.shown() == whole
    assert old not in {key.set for key in node.kernel.rows}
    for number in range(20):
        node.apply(f"{{path: /b{number}}}, {{path: /a}}")
        node.count(1, rule=1)
        node.prune()
    assert node.shown() == {**whole, ("/a", 2): 27}
    assert len(node.kernel.rows) == 3


def test_what_is_counted_still_is_left_alone() -> None:
    """Answers to requests that were on their way come under the set that has gone."""
    node = Node()
    key = HttpCountKey(WORLD, node.someone, 0, node.set, 2)
    node.apply("{path: /b}, {path: /a}")
    for number in range(1, 4):
        node.kernel.count(key, 1)
        node.tally.prune(node.compiled)
        assert key in node.kernel.rows and node.shown() == {("/a", 2): number}
    node.tally.prune(node.compiled)
    assert key not in node.kernel.rows and node.shown() == {("/a", 2): 3}
    node.kernel.count(key, 1)
    node.prune()
    assert node.shown()["/a", 2] >= 3 and sum(node.shown().values()) == 4


def test_a_route_that_no_rule_has_ends_and_its_counts_are_kept_together() -> None:
    node = Node()
    for number in range(3):
        node.apply(f"{{path: /x{number}}}")
        node.count(2)
    assert node.shown() == {(f"/x{number}", 2): 2 for number in range(3)}
    node.prune()
    assert node.shown() == {(GONE, 2): 4, ("/x2", 2): 2}
    node.apply("{path: /y}, {path: /x2}")
    node.prune()
    assert node.shown() == {(GONE, 2): 4, ("/x2", 2): 2}
    node.apply("{path: /y}")
    node.prune()
    node.prune()
    assert node.shown() == {(GONE, 2): 6}
    assert len(node.kernel.rows) == 1


def test_identities_that_have_gone_take_their_counts_along() -> None:
    node = Node()
    node.count(1)
    kept = HttpCountKey(WORLD, node.someone, 0, 0, 2)
    for number in (WORLD, node.someone):
        node.kernel.count(HttpCountKey(number, 5_000_000, 0, 0, 2), 1)
        node.kernel.count(HttpCountKey(5_000_001, number, 3, 77, 2, 1), 1)
    node.kernel.count(kept, 4)
    node.kernel.count(HttpCountKey(), 9)
    node.prune()
    assert node.shown() == {("/a", 2): 1, (OTHER, 2): 4, (OTHER, 0): 9}


def test_another_agent_knows_the_routes_that_are_there() -> None:
    node = Node()
    node.count(5)
    node.apply("{path: /b}, {path: /a}")
    node.prune()
    node.tally = Tally(node.kernel)
    node.tally.note(node.compiled)
    assert node.shown() == {("/a", 2): 5}
