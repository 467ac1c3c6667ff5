from datetime import UTC, datetime, timedelta
from typing import Any

from tulle.agent.transitions import Transitions
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import Routing

_REF = ObjectRef("Gateway", "shop", "gw")
_START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = _START

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def condition(kind: str, status: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": "Any", **more}


def routing(*conditions: dict[str, Any], **more: Any) -> Routing:
    return Routing(status={_REF: {"conditions": list(conditions), **more}})


def times(found: Routing) -> dict[str, int]:
    """Seconds after the start, by the condition's type."""
    return {item["type"]: at(item) for item in found.status[_REF]["conditions"]}


def at(item: dict[str, Any]) -> int:
    return round((datetime.fromisoformat(item["lastTransitionTime"]) - _START).total_seconds())


def test_a_time_is_that_of_the_last_change_of_status() -> None:
    kept = Transitions(Clock())
    assert times(kept.of(routing(condition("A", "True"), condition("B", "True")))) == {
        "A": 1,
        "B": 1,
    }
    found = kept.of(routing(condition("A", "True", message="other"), condition("B", "False")))
    assert times(found) == {"A": 1, "B": 2}
    assert found.status[_REF]["conditions"][0]["message"] == "other"
    assert times(kept.of(routing(condition("B", "True")))) == {"B": 3}


def test_parts_have_their_own() -> None:
    kept = Transitions(Clock())

    def parts(first: str, second: str) -> dict[str, Any]:
        listeners = [
            {"name": name, "conditions": [condition("A", status)]}
            for name, status in (("x", first), ("y", second))
        ]
        parents = [{"parentRef": {"name": "gw"}, "conditions": [condition("A", first)]}]
        return {"listeners": listeners, "parents": parents}

    kept.of(routing(**parts("True", "True")))
    found = kept.of(routing(**parts("True", "False"))).status[_REF]
    assert [at(item["conditions"][0]) for item in found["listeners"]] == [1, 2]
    assert at(found["parents"][0]["conditions"][0]) == 1


def test_what_is_the_same_stays_the_same_object() -> None:
    kept = Transitions(Clock())
    one = routing(condition("A", "True"))
    first = kept.of(one)
    assert kept.of(one) is first
    again = kept.of(routing(condition("A", "True")))
    assert again.status[_REF] is first.status[_REF]
    assert kept.of(Routing()).status == {}
    assert times(kept.of(one)) == {"A": 4}


def test_a_status_without_conditions_is_left_alone() -> None:
    plain = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    assert Transitions(Clock()).of(Routing(status={_REF: plain})).status == {_REF: plain}
