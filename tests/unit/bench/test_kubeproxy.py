from __future__ import annotations

import ipaddress

from bench import kubeproxy


def test_services_have_distinct_addresses_inside_the_service_range() -> None:
    services = kubeproxy.services(10_000, "10.201.2.2")
    addresses = {ipaddress.ip_address(service.address) for service in services}
    assert len(addresses) == 10_000
    assert all(address in ipaddress.ip_network("10.96.0.0/16") for address in addresses)


def test_the_load_goes_to_the_middle_of_the_list() -> None:
    services = kubeproxy.services(10_000, "10.201.2.2")
    assert services.index(kubeproxy.measured(services)) == 5_000
    only = kubeproxy.services(1, "10.201.2.2")
    assert kubeproxy.measured(only) is only[0]


def test_iptables_walks_one_rule_a_service() -> None:
    rules = kubeproxy.iptables(kubeproxy.services(50, "10.201.2.2")).splitlines()
    portals = [
        rule for rule in rules if rule.startswith("-A KUBE-SERVICES") and "cluster IP" in rule
    ]
    assert len(portals) == 50
    chains = {rule.split()[0][1:] for rule in rules if rule.startswith(":KUBE-SVC")}
    assert len(chains) == 50
    assert {rule.split()[-1] for rule in portals} == chains


def test_nftables_looks_all_services_up_in_one_map() -> None:
    rules = kubeproxy.nftables(kubeproxy.services(50, "10.201.2.2"))
    assert rules.count(". tcp . 80 : goto service-svc-") == 50
    assert rules.count("numgen") == 1
    assert rules.count("{") == rules.count("}")


def test_node_ports_are_masqueraded_and_lead_to_their_endpoint() -> None:
    ports = [("tcp", 30080, 80), ("udp", 30502, 5002)]
    rules = kubeproxy.iptables_node_ports("10.201.2.2", ports).splitlines()
    doors = [rule for rule in rules if "--dport 30" in rule]
    assert [rule.split()[-1].partition("-EXT-")[0] for rule in doors] == ["KUBE", "KUBE"]
    targets = [rule.split()[-1] for rule in rules if "DNAT" in rule]
    assert targets == ["10.201.2.2:80", "10.201.2.2:5002"]
    jumped = {word for rule in rules for word in rule.split() if word.startswith("KUBE-")}
    assert jumped <= {rule.split()[0][1:] for rule in rules if rule.startswith(":")}
