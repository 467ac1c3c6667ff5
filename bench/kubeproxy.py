"""The rules that kube-proxy writes, as text for iptables-restore and nft. Pure.

Laid out as kube-proxy 1.31 does for ClusterIP services with one endpoint each and a cluster CIDR.
What a flow of this bench never meets (NodePorts, load balancer firewalls) is there as the empty
chain or map that kube-proxy makes for it, since a packet looks in all the same.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

CLUSTER_CIDR = "10.201.0.0/16"
MASQUERADE_MARK = "0x4000"
PORT = 80
NODE_PORTS = {"http": 30080, "bulk": 30501, "packets": 30502}


@dataclass(frozen=True, slots=True)
class Service:
    """A ClusterIP service with one endpoint, TCP port 80 on both sides."""

    name: str
    address: str
    endpoint: str


def services(count: int, endpoint: str) -> list[Service]:
    """`count` services, up to 50,000, that all lead to the same endpoint."""
    return [
        Service(f"svc-{i}", f"10.96.{i // 250}.{i % 250 + 1}", endpoint)
        for i in range(1, count + 1)
    ]


def measured(of: Sequence[Service]) -> Service:
    """The service that gets the load: the middle one, so that a linear list costs its mean."""
    return of[len(of) // 2]


def iptables(of: Sequence[Service]) -> str:
    """Input for iptables-restore: KUBE-SERVICES is a list that every new connection walks."""
    chains, portals, rest = [], [], []
    for service in of:
        svc, sep = _chain("KUBE-SVC-", service.name), _chain("KUBE-SEP-", service.name)
        note = f'-m comment --comment "default/{service.name}:http'
        to_service = f"-d {service.address}/32 -p tcp -m tcp --dport {PORT}"
        chains += [f":{svc} - [0:0]", f":{sep} - [0:0]"]
        portals.append(f'-A KUBE-SERVICES {note} cluster IP" {to_service} -j {svc}')
        rest += [
            f'-A {svc} {note} cluster IP" {to_service} ! -s {CLUSTER_CIDR} -j KUBE-MARK-MASQ',
            f'-A {svc} {note} -> {service.endpoint}:{PORT}" -j {sep}',
            f'-A {sep} {note}" -s {service.endpoint}/32 -j KUBE-MARK-MASQ',
            f'-A {sep} {note}" -p tcp -m tcp -j DNAT --to-destination {service.endpoint}:{PORT}',
        ]
    nat = [*_IPTABLES_NAT_CHAINS, *chains, *_IPTABLES_NAT_RULES, *portals, _IPTABLES_LAST, *rest]
    return "\n".join([*_IPTABLES_FILTER, "*nat", *nat, "COMMIT", ""])


def iptables_node_ports(endpoint: str, ports: Sequence[tuple[str, int, int]]) -> str:
    """Input for iptables-restore: (protocol, node port, endpoint's port) for one endpoint.

    As kube-proxy does with externalTrafficPolicy Cluster: what comes from outside is masqueraded.
    """
    chains, doors, rest = [], [], []
    for protocol, node_port, port in ports:
        name = f"default/node-port:{node_port}"
        ext, svc, sep = (_chain(f"KUBE-{kind}-", name) for kind in ("EXT", "SVC", "SEP"))
        note = f'-m comment --comment "{name}'
        match = f"-p {protocol} -m {protocol}"
        chains += [f":{chain} - [0:0]" for chain in (ext, svc, sep)]
        doors.append(f'-A KUBE-NODEPORTS {note}" {match} --dport {node_port} -j {ext}')
        rest += [
            f'-A {ext} {note} external destinations" -j KUBE-MARK-MASQ',
            f"-A {ext} -j {svc}",
            f'-A {svc} {note} -> {endpoint}:{port}" -j {sep}',
            f'-A {sep} {note}" -s {endpoint}/32 -j KUBE-MARK-MASQ',
            f'-A {sep} {note}" {match} -j DNAT --to-destination {endpoint}:{port}',
        ]
    nat = [*_IPTABLES_NAT_CHAINS, *chains, *_IPTABLES_NAT_RULES, _IPTABLES_LAST, *doors, *rest]
    return "\n".join([*_IPTABLES_FILTER, "*nat", *nat, "COMMIT", ""])


def nftables(of: Sequence[Service]) -> str:
    """Input for nft: one verdict map, whose look-up does not grow with the services."""
    chains, elements, loaded = [], [], measured(of)
    for service in of:
        svc, endpoint = f"service-{service.name}", f"endpoint-{service.name}"
        elements.append(f"{service.address} . tcp . {PORT} : goto {svc}")
        chains.append(
            f"chain {endpoint} {{\n"
            f"  ip saddr {service.endpoint} jump mark-for-masquerade\n"
            f"  meta l4proto tcp dnat to {service.endpoint}:{PORT}\n"
            "}\n"
            f"chain {svc} {{\n"
            f"  ip daddr {service.address} tcp dport {PORT} ip saddr != {CLUSTER_CIDR}"
            " jump mark-for-masquerade\n"
            f"  {_nft_balance(endpoint) if service is loaded else f'goto {endpoint}'}\n"
            "}"
        )
    return _NFTABLES.format(chains="\n".join(chains), elements=",\n".join(elements))


def _nft_balance(endpoint: str) -> str:
    """kube-proxy writes this for every service, but the kernel takes 30 s for 10,000 of these
    anonymous maps, and a flow meets only its own service's."""
    return f"numgen random mod 1 vmap {{ 0 : goto {endpoint} }}"


def _chain(prefix: str, name: str) -> str:
    """As kube-proxy: a hash, since iptables allows a chain 28 characters."""
    digest = hashlib.sha256(name.encode()).digest()
    return prefix + base64.b32encode(digest).decode()[:16]


_IPTABLES_FILTER = (
    "*filter",
    ":KUBE-FORWARD - [0:0]",
    ":KUBE-PROXY-FIREWALL - [0:0]",
    ":KUBE-SERVICES - [0:0]",
    ":KUBE-EXTERNAL-SERVICES - [0:0]",
    "-A FORWARD -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL",
    "-A FORWARD -j KUBE-FORWARD",
    "-A FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES",
    "-A FORWARD -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES",
    "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
    f"-A KUBE-FORWARD -m mark --mark {MASQUERADE_MARK}/{MASQUERADE_MARK} -j ACCEPT",
    "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "COMMIT",
)
_IPTABLES_NAT_CHAINS = (
    ":KUBE-SERVICES - [0:0]",
    ":KUBE-NODEPORTS - [0:0]",
    ":KUBE-POSTROUTING - [0:0]",
    ":KUBE-MARK-MASQ - [0:0]",
)
_IPTABLES_NAT_RULES = (
    '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
    '-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
    '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
    f"-A KUBE-POSTROUTING -m mark ! --mark {MASQUERADE_MARK}/{MASQUERADE_MARK} -j RETURN",
    f"-A KUBE-POSTROUTING -j MARK --xor-mark {MASQUERADE_MARK}",
    "-A KUBE-POSTROUTING -j MASQUERADE --random-fully",
    f"-A KUBE-MARK-MASQ -j MARK --or-mark {MASQUERADE_MARK}",
)
# kube-proxy keeps this one at the end of the list
_IPTABLES_LAST = "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"

_NFTABLES = """\
table ip kube-proxy {{
map no-endpoint-services {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
map firewall-ips {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
map service-nodeports {{ type inet_proto . inet_service : verdict; }}
set nodeport-ips {{ type ipv4_addr; }}
chain mark-for-masquerade {{ meta mark set meta mark or 0x4000; }}
chain masquerading {{
  meta mark and 0x4000 == 0 return
  meta mark set meta mark xor 0x4000
  masquerade fully-random
}}
{chains}
map service-ips {{
  type ipv4_addr . inet_proto . inet_service : verdict
  elements = {{
{elements}
  }}
}}
chain services {{
  ip daddr . meta l4proto . th dport vmap @service-ips
  ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
}}
chain service-endpoints-check {{
  ip daddr . meta l4proto . th dport vmap @no-endpoint-services
}}
chain firewall-check {{ ip daddr . meta l4proto . th dport vmap @firewall-ips; }}
chain filter-prerouting {{
  type filter hook prerouting priority -110; policy accept;
  ct state new jump firewall-check
}}
chain filter-forward {{
  type filter hook forward priority -110; policy accept;
  ct state new jump service-endpoints-check
}}
chain nat-prerouting {{
  type nat hook prerouting priority -100; policy accept;
  jump services
}}
chain nat-output {{
  type nat hook output priority -100; policy accept;
  jump services
}}
chain nat-postrouting {{
  type nat hook postrouting priority 100; policy accept;
  jump masquerading
}}
}}
"""
