"""What is wanted, what of it is served, and whom a refusal names."""

from __future__ import annotations

from tests.unit.edges.envoy.sample import cluster, endpoints, listener, ref
from tulle.edges.envoy.catalogue import Catalogue
from tulle.model.proxy import Resource, XdsImage


def version(catalogue: Catalogue, name: str) -> str:
    item = catalogue.served("cluster", name)
    return item.version if item else ""


def test_only_what_changed_is_told() -> None:
    catalogue = Catalogue()
    web, db = cluster("web"), cluster("db")
    assert not catalogue.complete
    first: XdsImage = {"cluster": {"web": web, "db": db}}
    assert sorted(catalogue.update(first)) == [("cluster", "db"), ("cluster", "web")]
    assert catalogue.complete
    assert catalogue.update({"cluster": {"web": web, "db": cluster("db")}}) == []  # equal
    changed = catalogue.update({"cluster": {"web": cluster("web", lb_policy="MAGLEV")}})
    assert sorted(changed) == [("cluster", "db"), ("cluster", "web")]


def test_a_refused_resource_gives_way_to_the_last_good_one() -> None:
    catalogue = Catalogue()
    catalogue.update({"cluster": {"web": cluster("web")}})
    good = version(catalogue, "web")
    catalogue.accept("cluster", "web", good)
    catalogue.update({"cluster": {"web": cluster("web", lb_policy="MAGLEV")}})
    bad = version(catalogue, "web")
    assert bad != good
    assert catalogue.refuse("cluster", "web", bad, "no")
    assert not catalogue.refuse("cluster", "web", bad, "no"), "is no news"
    assert version(catalogue, "web") == good
    assert catalogue.refused["cluster"]["web"].origins == (ref("web"),)
    catalogue.update({"cluster": {"web": cluster("web", lb_policy="RANDOM")}})
    assert version(catalogue, "web") not in (good, bad)
    assert not catalogue.refused["cluster"]


def test_what_was_removed_is_not_good_for_another_one_of_its_name() -> None:
    catalogue = Catalogue()
    catalogue.update({"cluster": {"web": cluster("web")}})
    catalogue.accept("cluster", "web", version(catalogue, "web"))
    catalogue.update({})
    catalogue.update({"cluster": {"web": cluster("web", lb_policy="MAGLEV")}})
    catalogue.refuse("cluster", "web", version(catalogue, "web"), "no")
    assert catalogue.served("cluster", "web") is None


def test_a_refusal_of_what_is_wanted_no_more_is_ignored() -> None:
    catalogue = Catalogue()
    catalogue.update({"cluster": {"web": cluster("web")}})
    assert not catalogue.refuse("cluster", "web", "another", "no")
    catalogue.update({})
    assert not catalogue.refuse("cluster", "web", "another", "no")


def test_what_is_forgiven_is_served_again() -> None:
    catalogue = Catalogue()
    catalogue.update({"cluster": {"web": cluster("web")}})
    catalogue.refuse("cluster", "web", version(catalogue, "web"), "no")
    assert catalogue.served("cluster", "web") is None
    assert catalogue.forgive("cluster") == [("cluster", "web")]
    assert catalogue.served("cluster", "web") is not None


def test_a_cluster_names_its_endpoints() -> None:
    catalogue = Catalogue()
    named = cluster("web", eds_cluster_config={"service_name": "shop/web", "eds_config": {}})
    static = cluster("fixed", type="STATIC")
    clusters = {"web": named, "db": cluster("db"), "fixed": static, "bad": Resource(b"\xff")}
    catalogue.update({"cluster": clusters, "endpoints": {"db": endpoints("db", 1)}})
    served = {name: catalogue.served("cluster", name) for name in clusters}
    assert {name: item.endpoints for name, item in served.items() if item} == {
        "web": "shop/web",
        "db": "db",
        "fixed": "",
        "bad": "",
    }


def test_a_listener_shares_its_port() -> None:
    catalogue = Catalogue()
    plain = listener("web", 80)
    catalogue.update({"listener": {"web": plain}})
    item = catalogue.served("listener", "web")
    assert item and item.body.startswith(plain.body) and item.body != plain.body
