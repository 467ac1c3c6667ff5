"""No number has two owners, whatever ends the agent, and one that came free is given late."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tulle.agent.ipam import Leases
from tulle.errors import Refused

SMALL = (ip_network("10.0.0.0/29"), ip_network("fd00::/64"))  # room for 5


def take(some: Leases, owner: str) -> int:
    (number,) = some.take([owner])
    if isinstance(number, Refused):
        raise number
    return number


def leases(tmp_path: Path) -> Leases:
    return Leases(tmp_path / "durable" / "leases.json", SMALL)


def test_a_number_that_came_free_is_given_again_last(tmp_path: Path) -> None:
    some = leases(tmp_path)
    assert [take(some, f"cni/{name}") for name in "ab"] == [2, 3]
    some.free({"cni/a"})
    assert [take(some, f"cni/{name}") for name in "cdef"] == [4, 5, 6, 2]
    with pytest.raises(Refused, match=r"no address left: 10\.0\.0\.0/29 has room for 5"):
        take(some, "cni/g")


def test_both_families_have_the_same_number(tmp_path: Path) -> None:
    assert [str(item) for item in leases(tmp_path).addresses(3)] == ["10.0.0.3", "fd00::3"]


def test_a_reboot_gives_numbers_back_and_goes_on_behind_the_last(tmp_path: Path) -> None:
    before = leases(tmp_path)
    for name in "abc":
        take(before, f"cni/{name}")
    after = leases(tmp_path)
    assert after.held() == {2: "cni/a", 3: "cni/b", 4: "cni/c"}
    after.recover("cni", {})
    assert (after.held(), take(after, "cni/d")) == ({}, 5)


def test_each_kind_speaks_for_its_own_alone(tmp_path: Path) -> None:
    some = leases(tmp_path)
    take(some, "cni/a")
    take(some, "workload/shop/web")
    some.recover("cni", {4: "cni/b"})
    assert some.held() == {3: "workload/shop/web", 4: "cni/b"}
    some.free({"cni/a"})  # its number was another's by then
    assert some.held() == {3: "workload/shop/web", 4: "cni/b"}


@pytest.mark.parametrize("content", [b"", b"{", b'{"held": 3}', b'{"held": {"x": "y"}}'])
def test_a_journal_that_cannot_be_read_is_made_anew_of_those_who_live(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "leases.json"
    path.write_bytes(content)
    some = Leases(path, SMALL)
    some.recover("cni", {4: "cni/b"})
    assert (take(some, "cni/c"), Leases(path, SMALL).held()) == (5, {4: "cni/b", 5: "cni/c"})


@given(steps=st.lists(st.tuples(st.sampled_from(["take", "free", "again"]), st.integers(0, 4))))
def test_no_number_has_two_owners(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("leases")
    some, have = leases(directory), dict[str, int]()
    for step, which in steps:
        owner = f"cni/{which}"
        if step == "take" and owner not in have:
            have[owner] = take(some, owner)
        elif step == "free" and owner in have:
            del have[owner]
            some.free({owner})
        elif step == "again":
            some = leases(directory)
        assert some.held() == {number: owner for owner, number in have.items()}


def test_of_many_those_get_none_for_whom_there_is_no_room(tmp_path: Path) -> None:
    some = leases(tmp_path)
    given = some.take([f"cni/{name}" for name in "abcdef"])
    assert given[:5] == [2, 3, 4, 5, 6] and isinstance(given[5], Refused)
    some.free({"cni/a", "cni/e", "cni/y"})
    assert leases(tmp_path).held() == {3: "cni/b", 4: "cni/c", 5: "cni/d"}
