"""A pass after a pass: what has not changed is the same object, and no more than needed is made."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import ip_address

from tests.proxy.mesh import ROUTE, front, host, rule, services, to, web
from tests.unit.compile.proxy.decode import decoded
from tests.unit.compile.services.shop import Passes, changed, pod, selecting, town
from tulle.compile.proxy import Proxied, proxy_image
from tulle.compile.services import ServiceParts
from tulle.model.kubernetes import ObjectRef
from tulle.model.proxy import XdsImage
from tulle.model.routing import Certificate, Front, Routing, Termination, UpstreamTls

PARTS = services({"a": 8001, "b": 8002})


def run(*fronts: Front, parts: ServiceParts = PARTS, before: Proxied | None = None) -> Proxied:
    return proxy_image(Routing({item.name: item for item in fronts}), parts, (), before)


def different(old: XdsImage, new: XdsImage) -> dict[str, set[str]]:
    """Names of resources that came, went or changed, by kind."""
    found = {
        kind: {
            name
            for name in old[kind].keys() | new[kind].keys()
            if old[kind].get(name) is not new[kind].get(name)
        }
        for kind in new
    }
    return {kind: names for kind, names in found.items() if names}


EDGE = front(web(host(("/", rule(to("a"))), name="a.example")), port=80)
OTHER = front(web(host(("/", rule(to("b"))), name="b.example")), port=81)


def test_nothing_new_is_nothing_done() -> None:
    first = run(EDGE, OTHER)
    again = run(EDGE, OTHER, before=first)
    assert all(again.image[kind] is first.image[kind] for kind in first.image)
    rebuilt = run(replace(EDGE), replace(OTHER), before=first)
    assert all(rebuilt.image[kind] is first.image[kind] for kind in first.image)


def test_a_route_changes_its_table_alone() -> None:
    first = run(EDGE, OTHER)
    moved = replace(EDGE, servers=(web(host(("/", rule(to("b"))), name="a.example")),))
    second = run(moved, OTHER, before=first)
    assert different(first.image, second.image) == {
        "route": {"gateway/shop/edge/80"},
        "cluster": {"shop/a/80"},
        "endpoints": {"shop/a/80"},
    }


def test_an_endpoint_changes_endpoints_alone() -> None:
    passes = Passes()
    world = town(pod("db-2"), pod("db-3", node="near"), text=selecting("db"))
    edge = front(web(host(("/", rule(to("db"))))), port=80)
    first = run(edge, parts=passes.run(world))
    less = replace(world, workloads={})
    second = run(edge, parts=passes.run(less), before=first)
    assert different(first.image, second.image) == {"endpoints": {"shop/db/80"}}
    (listed,) = decoded(second.image, "endpoints", "shop/db/80")["endpoints"]
    assert len(listed["lb_endpoints"]) == 1


def test_a_headless_service_has_endpoints_too() -> None:
    passes = Passes()
    world = town(pod("db-2"), text=selecting("db", "clusterIP: None"))
    edge = front(web(host(("/", rule(to("db"))))), port=80)
    first = run(edge, parts=passes.run(world))
    assert "10.0.0.2" in str(decoded(first.image, "endpoints", "shop/db/80"))
    second = run(edge, parts=passes.run(replace(world, workloads={})), before=first)
    assert decoded(second.image, "endpoints", "shop/db/80") == {"cluster_name": "shop/db/80"}


def test_a_service_that_is_not_there_has_no_endpoints() -> None:
    made = run(front(web(host(("/", rule(to("none"))))), port=80))
    assert decoded(made.image, "endpoints", "shop/none/80") == {"cluster_name": "shop/none/80"}


def test_traffic_policy_is_the_kernels() -> None:
    passes = Passes()
    world = town(pod("db-2"), pod("db-3", node="far"), text=selecting("db"))
    edge = front(web(host(("/", rule(to("db"))))), port=80)
    first = run(edge, parts=passes.run(world))
    local = changed(world, "db", internal_traffic_policy="Local")
    second = run(edge, parts=passes.run(local), before=first)
    assert "10.0.0.3" in str(decoded(first.image, "endpoints", "shop/db/80"))
    assert "10.0.0.3" not in str(decoded(second.image, "endpoints", "shop/db/80"))


def test_weights_are_the_workloads() -> None:
    world = town(pod("db-2", weight=3), pod("db-3"), text=selecting("db"))
    edge = front(web(host(("/", rule(to("db"))))), port=80)
    made = run(edge, parts=Passes().run(world))
    (listed,) = decoded(made.image, "endpoints", "shop/db/80")["endpoints"]
    assert [item["load_balancing_weight"] for item in listed["lb_endpoints"]] == [3, 1]


def test_endpoints_of_one_family() -> None:
    """The proxy in its own name takes the service's first; in a client's, the client's."""
    spec = "clusterIPs: [10.96.0.9, 'fd00:7a11:0:96::9'], ipFamilyPolicy: RequireDualStack"
    world = town(pod("db-2", "10.0.0.2", "fd00::2"), text=selecting("db", spec))
    parts = Passes().run(world)
    edge = front(web(host(("/", rule(to("db"))))), port=80)
    addresses = ip_address("10.96.0.9"), ip_address("fd00:7a11:0:96::9")
    inner = replace(edge, name="service/shop/db/80", mesh=True, addresses=addresses)
    image = run(edge, inner, parts=parts).image
    found = {
        name: "fd00::2" in str(decoded(image, "endpoints", name)) for name in image["endpoints"]
    }
    assert found == {"shop/db/80": False, "shop/db/80/ipv4": False, "shop/db/80/ipv6": True}


def test_a_front_without_an_address_is_none_yet() -> None:
    assert run(replace(EDGE, addresses=())).image["listener"] == {}


def test_other_addresses_of_the_proxy_change_its_clusters() -> None:
    routing = Routing({EDGE.name: EDGE})
    first = proxy_image(routing, PARTS, [ip_address("10.0.0.254")])
    second = proxy_image(routing, PARTS, [ip_address("10.0.0.253")], first)
    assert different(first.image, second.image) == {"cluster": {"shop/a/80"}}
    bound = decoded(second.image, "cluster", "shop/a/80")["upstream_bind_config"]
    assert bound["source_address"]["address"] == "10.0.0.253"


def test_a_new_certificate_is_a_new_secret_alone() -> None:
    """Of a listener, and of what the proxy shows to backends: neither is touched."""

    def with_key(key: str) -> Front:
        shown = Certificate("shop/web", "CHAIN", key)
        tls = UpstreamTls("a.example", "PEM", client=Certificate("shop/client", "CHAIN", key))
        routes = host(("/", rule(to("a", tls=tls))), name="a.example")
        server = web(routes, protocol="HTTPS", termination=Termination((shown,)))
        return front(server, port=443)

    first = run(with_key("one"))
    second = run(with_key("two"), before=first)
    names = {"certificate/shop/web", "certificate/shop/client"}
    assert different(first.image, second.image) == {"secret": names}


def test_whom_to_blame() -> None:
    image = run(EDGE).image
    assert image["route"]["gateway/shop/edge/80"].origins == (ROUTE,)
    assert image["cluster"]["shop/a/80"].origins == (ObjectRef("Service", "shop", "a"),)
    assert image["listener"]["gateway/shop/edge/80"].origins == (EDGE.origin,)


def test_a_cluster_for_each_way_to_speak_and_endpoints_for_all() -> None:
    tls = UpstreamTls("a.example", "PEM")
    hosts = host(("/tls", rule(to("a", tls=tls))), ("/", rule(to("a"))))
    image = run(front(web(hosts), port=80)).image
    assert len(image["cluster"]) == 2
    assert list(image["endpoints"]) == ["shop/a/80"]


def test_a_later_pass_comes_to_what_a_first_one_does() -> None:
    draw = random.Random(7)
    names, before = ["a", "b"], None
    entries = [(f"/{n}", rule(to("a"), index=n)) for n in range(8)]
    for _ in range(40):
        place = draw.randrange(len(entries))
        changed_rule = rule(
            to(draw.choice(names)), timeout_ms=draw.choice([None, 1, 2]), index=place
        )
        entries = [*entries[:place], (f"/{place}", changed_rule), *entries[place + 1 :]]
        hosts = [host(*entries[:4], name="a.example"), host(*entries[4:], name="b.example")]
        draw.shuffle(hosts)
        edge = front(web(*hosts), port=80)
        before = run(edge, before=before)
        assert before.image == run(edge).image
