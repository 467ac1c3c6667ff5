"""What has not changed is the same object: the next pass need not look at it."""

from __future__ import annotations

from tests.unit.compile.objects import workload
from tulle.agent.local import Local

WEB, DB = workload("web-1"), workload("db-2")


def test_who_is_alone_is_passed_through() -> None:
    local, some = Local(), {WEB.key: WEB}
    assert local.of(some, {}) is some and local.of({}, some) is some


def test_both_are_one_and_stay_the_same_object() -> None:
    local, own, pods = Local(), {WEB.key: WEB}, {DB.key: DB}
    whole = local.of(pods, own)
    assert whole == {WEB.key: WEB, DB.key: DB} and local.of(pods, own) is whole
    assert local.of({**pods}, own) is not whole


def test_our_own_keep_their_names() -> None:
    other = workload("web-1", weight=2)
    assert Local().of({WEB.key: other, DB.key: DB}, {WEB.key: WEB})[WEB.key] is WEB
