from __future__ import annotations

import pytest

from bench import rounds
from bench.catalogue import ONE_NODE
from bench.load import Client, LoadError, Phase, Sample
from bench.pace import ByCount

BASE, PHASES = ONE_NODE.base, ONE_NODE.phases


class FakeClient(Client):
    def __init__(self, fails_in: str = "") -> None:
        self.fails_in = fails_in

    def measure(self, phase: Phase) -> Sample:
        if phase.name == self.fails_in:
            raise LoadError("3 requests failed")
        return Sample(1, 1, 1, 1)


def silent(part: float, what: str) -> None:
    pass


def test_each_round_visits_every_scenario_in_every_phase() -> None:
    clients = {BASE: FakeClient(), "x": FakeClient()}
    result = rounds.run(clients, PHASES, BASE, ByCount(3), silent)
    assert {len(visits) for visits in result.visits.values()} == {3}
    assert all(set(visit) == {BASE, "x"} for visits in result.visits.values() for visit in visits)
    assert not result.failed


def test_a_failing_scenario_leaves_the_others_alone() -> None:
    clients = {BASE: FakeClient(), "x": FakeClient(fails_in=PHASES[1].name), "y": FakeClient()}
    result = rounds.run(clients, PHASES, BASE, ByCount(2), silent)
    assert result.failed == {"x": f"{PHASES[1].name}: 3 requests failed"}
    assert all("y" in visit for visits in result.visits.values() for visit in visits)


def test_without_direct_there_is_nothing_to_compare() -> None:
    with pytest.raises(LoadError):
        rounds.run({BASE: FakeClient(fails_in=PHASES[0].name)}, PHASES, BASE, ByCount(1), silent)
