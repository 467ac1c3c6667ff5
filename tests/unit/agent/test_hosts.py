"""Names of services as each namespace sees them."""

from ipaddress import ip_address

from tulle.agent.hosts import HostsEntry, render_hosts, render_services

DB = HostsEntry("db", "shop", (ip_address("10.96.0.5"), ip_address("fd00::5")))


def test_bare_name_is_for_the_own_namespace_only() -> None:
    full = "db.shop.svc.cluster.local db.shop.svc db.shop"
    assert render_services([DB], "shop") == f"10.96.0.5 {full} db\nfd00::5 {full} db\n"
    assert render_services([DB], "other") == f"10.96.0.5 {full}\nfd00::5 {full}\n"


def test_what_the_cluster_set_has_bears_one_name_that_says_so() -> None:
    shared = HostsEntry("clusterset/db", "shop", (ip_address("198.18.97.5"),))
    lines = render_services([DB, shared], "shop").splitlines()
    assert lines[0] == "198.18.97.5 db.shop.svc.clusterset.local"
    assert len(lines) == 3


def test_order_of_services_does_not_matter() -> None:
    web = HostsEntry("web", "shop", (ip_address("10.96.0.6"),))
    assert render_services([web, DB], "shop") == render_services([DB, web], "shop")


def test_file_begins_with_localhost_and_the_workload_itself() -> None:
    assert render_hosts("x\n", "web-1", DB.addresses).splitlines() == [
        "127.0.0.1 localhost",
        "::1 localhost ip6-localhost ip6-loopback",
        "10.96.0.5 web-1",
        "fd00::5 web-1",
        "x",
    ]
