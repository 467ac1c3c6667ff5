from __future__ import annotations

import time

import pytest

from bench.pace import ByCount, ByTime


def test_by_count() -> None:
    pace = ByCount(2)
    assert [pace.more(done) for done in range(3)] == [True, True, False]
    assert pace.part(1) == 0.5


def test_by_time_starts_no_round_that_would_end_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pace = ByTime(deadline=110.0)
    assert pace.more(0)
    now = 104.0
    assert pace.more(1)
    now = 108.0
    assert not pace.more(2)
    assert pace.part(2) == 0.8


def test_by_time_gives_one_round_even_when_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 200.0)
    pace = ByTime(deadline=110.0)
    assert pace.more(0)
    assert not pace.more(1)
