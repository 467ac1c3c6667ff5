"""Delays double up to a minute, and begin anew after a minute that held."""

from tulle.agent.backoff import Backoff


def test_doubles_to_a_minute() -> None:
    backoff = Backoff()
    assert [backoff.after(0) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_begins_anew_when_it_held() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.after(59.9)
    assert [backoff.after(60), backoff.after(0)] == [1, 2]
