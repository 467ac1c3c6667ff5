"""Which cluster, and which arguments, before any node is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from tulle.errors import Refused, UsageError
from tulle.lab import cluster as module
from tulle.lab.cluster import MAX_NODES, Cluster
from tulle.lab.starting import choose_cluster, find_cluster, shared_arguments


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "ROOT", tmp_path / "lab")
    return tmp_path / "lab"


def test_every_member_has_a_place_of_its_own_and_keeps_it() -> None:
    shop = Cluster("shop")
    first, second = shop.join("a"), shop.join("b")
    assert [str(item) for item in first.addresses] == ["192.168.96.10", "fd00:7a11:1::a"]
    assert first.pod_cidrs == ("10.244.0.0/24", "fd00:7a11:0:244::/80")
    assert second.pod_cidrs == ("10.244.1.0/24", "fd00:7a11:0:244:1::/80")
    assert shop.join("a") == first and shop.members() == {"a": first, "b": second}
    shop.leave("a")
    assert shop.join("c").number == first.number


def test_the_last_to_leave_takes_the_cluster_along(root: Path) -> None:
    shop = Cluster("shop")
    shop.join("a")
    shop.leave("a")
    assert not root.exists() and shop.members() == {}
    shop.leave("a")
    assert not root.exists()


def test_a_node_is_in_one_cluster() -> None:
    Cluster("shop").join("a")
    with pytest.raises(Refused, match="node 'a' is in the cluster 'shop' already"):
        Cluster("bank").join("a")
    assert choose_cluster(None, ["a", "b"]) == Cluster("shop")
    assert choose_cluster(None, ["b"]) == Cluster("b")
    assert choose_cluster("bank", ["a"]) == Cluster("bank")
    with pytest.raises(Refused, match=r"cluster '\.\./x'"):
        choose_cluster("../x", ["a"])


def test_a_cluster_has_room_for_so_many(root: Path) -> None:
    shop = Cluster("shop")
    shop.join("a")
    member = shop.members()["a"]
    full = {f"n{number}": module.Member(number, member.pod_cidrs) for number in range(MAX_NODES)}
    shop._save(full)
    with pytest.raises(Refused, match="cluster 'shop' is full: it has 256 nodes"):
        shop.join("one-more")


def test_the_only_cluster_needs_no_name() -> None:
    with pytest.raises(Refused, match="there is no cluster: make one"):
        find_cluster(None)
    Cluster("shop").join("a")
    with pytest.raises(Refused, match="there is no cluster 'bank': there are shop"):
        find_cluster("bank")
    assert find_cluster(None) == find_cluster("shop") == Cluster("shop")
    Cluster("bank").join("b")
    with pytest.raises(UsageError, match="choose one of bank, shop with --cluster"):
        find_cluster(None)
    assert find_cluster(None, "a") == Cluster("shop"), "that of the node that is spoken to"
    assert find_cluster("bank", "a") == Cluster("bank")


def test_options_are_the_same_on_every_node_of_a_cluster() -> None:
    shop = Cluster("shop")
    vxlan = ["--routing", "vxlan"]
    assert shared_arguments(shop, ["a"], vxlan) == vxlan
    shop.join("a")
    shop.remember("a", vxlan, ["--node-label", "zone=z"])
    assert shop.members()["a"].own == ("--node-label", "zone=z")
    assert shared_arguments(shop, ["b"], []) == vxlan, "a node that joins gets the cluster's"
    assert shared_arguments(shop, ["a"], []) == vxlan, "and one that is started again"
    assert shared_arguments(shop, ["a"], ["--routing", "native"]) == ["--routing", "native"]
    with pytest.raises(UsageError, match="'shop' has --routing vxlan: the same on every node"):
        shared_arguments(shop, ["b"], ["--routing", "native"])
