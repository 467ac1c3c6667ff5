from tulle.agent.kube.leases import EXPIRES_S, LOOK_S, Attendance


def looked(*looks: tuple[float, dict[str, str]]) -> Attendance:
    made = Attendance()
    for now_s, versions in looks:
        made.look(versions, 1000 + now_s)
    return made


def steady(until_s: float, **versions: str) -> list[tuple[float, dict[str, str]]]:
    return [(step * LOOK_S, versions) for step in range(int(until_s / LOOK_S) + 1)]


def test_who_renews_is_there() -> None:
    seen = looked((0, {"a": "1", "b": "1"}), (3, {"a": "2", "b": "1"}))
    assert seen.present == {"a", "b"}
    assert (seen.is_ready("a"), seen.is_ready("b"), seen.is_ready("c")) == (True, None, False)


def test_who_does_not_is_gone_after_a_while_and_comes_back() -> None:
    looks = steady(EXPIRES_S - LOOK_S, a="1")
    assert looked(*looks).present == {"a"}
    looks += [(EXPIRES_S, {"a": "1"})]
    assert looked(*looks).is_ready("a") is False
    back = looked(*looks, (EXPIRES_S + LOOK_S, {"a": "2"}))
    assert back.present == {"a"} and back.is_ready("a") is True
    assert looked((0, {"a": "1"}), (3, {})).is_ready("a") is False, "given back"


def test_nobody_is_gone_for_what_was_not_seen() -> None:
    """Hosts could not renew either while there was no API server."""
    assert looked((0, {"a": "1"}), (3, {"a": "2"}), (500, {"a": "2"})).is_ready("a") is True
    assert looked((0, {"a": "1"}), (500, {"a": "1"})).present == {"a"}
