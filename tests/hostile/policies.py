"""One valid manifest of each kind of Cilium's and of network-policy-api, using most fields."""

from __future__ import annotations

from typing import Any

_INGRESS: list[dict[str, Any]] = [
    {
        "fromEndpoints": [
            {"matchLabels": {"k8s:app": "api"}},
            {"matchLabels": {"reserved:host": ""}},
            {"matchExpressions": [{"key": "any:tier", "operator": "In", "values": ["front"]}]},
        ],
        "fromRequires": [{"matchLabels": {"team": "shop"}}],
        "toPorts": [
            {"ports": [{"port": "8000", "endPort": 8999, "protocol": "TCP"}]},
            {
                "ports": [{"port": "http", "protocol": "TCP"}],
                "rules": {
                    "http": [
                        {"method": "GET|HEAD", "path": "/public(/.*)?", "host": "web"},
                        {"headers": ["X-Key: true", "X-Any"]},
                        {"headerMatches": [{"name": "X-A", "value": "1", "mismatch": "LOG"}]},
                        {},
                    ]
                },
            },
        ],
        "authentication": {"mode": "disabled"},
    },
    {"fromCIDR": ["192.0.2.0/24", "2001:db8::1"]},
    {
        "fromCIDRSet": [
            {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]},
            {"cidrGroupRef": "offices"},
            {"cidrGroupSelector": {"matchLabels": {"kind": "office"}}},
        ],
        "icmps": [{"fields": [{"type": 8}, {"type": "EchoRequest", "family": "IPv6"}]}],
    },
    {"fromEntities": ["cluster", "world-ipv6"], "toPorts": [{"ports": [{"port": "http"}]}]},
]
_EGRESS: list[dict[str, Any]] = [
    {"toEndpoints": [{}], "toPorts": [{"ports": [{"port": "53", "protocol": "ANY"}]}]},
    {
        "toEntities": ["world"],
        "toPorts": [
            {"ports": [{"port": "443", "protocol": "TCP"}], "serverNames": ["*.example", "a.test"]},
        ],
    },
    {
        "toServices": [
            {"k8sService": {"serviceName": "db", "namespace": "shop"}},
            {"k8sServiceSelector": {"selector": {"matchLabels": {"tier": "db"}}}},
        ]
    },
]
CILIUM: dict[str, Any] = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumNetworkPolicy",
    "metadata": {
        "name": "web",
        "namespace": "shop",
        "annotations": {"tulle.io/audit": "true", "tulle.io/reject": "false"},
    },
    "spec": {
        "description": "who reaches the web tier",
        "endpointSelector": {"matchLabels": {"app": "web"}},
        "enableDefaultDeny": {"ingress": True, "egress": False},
        "ingress": _INGRESS,
        "ingressDeny": [{"fromEntities": ["world"], "toPorts": [{"ports": [{"port": "22"}]}]}],
        "egress": _EGRESS,
        "egressDeny": [{"toCIDR": ["169.254.169.254/32"]}],
    },
}
CLUSTERWIDE: dict[str, Any] = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumClusterwideNetworkPolicy",
    "metadata": {"name": "nodes"},
    "specs": [
        {
            "nodeSelector": {"matchLabels": {"node:zone": "a"}},
            "ingress": [{"fromNodes": [{"matchLabels": {"role": "front"}}]}],
        },
        {"endpointSelector": {}, "egress": [{"toNodes": [{}]}]},
    ],
}
GROUP: dict[str, Any] = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumCIDRGroup",
    "metadata": {"name": "offices", "labels": {"kind": "office"}},
    "spec": {"externalCIDRs": ["198.51.100.0/24", "2001:db8:1::/48"]},
}
GATEWAY: dict[str, Any] = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumEgressGatewayPolicy",
    "metadata": {"name": "outside"},
    "spec": {
        "selectors": [
            {
                "podSelector": {"matchLabels": {"app": "web"}},
                "namespaceSelector": {"matchLabels": {"team": "shop"}},
                "nodeSelector": {"matchLabels": {"zone": "a"}},
            }
        ],
        "destinationCIDRs": ["0.0.0.0/0", "::/0"],
        "excludedCIDRs": ["10.0.0.0/8"],
        "egressGateway": {
            "nodeSelector": {"matchLabels": {"role": "gateway"}},
            "egressIP": "192.0.2.7",
        },
    },
}
POOL: dict[str, Any] = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumLoadBalancerIPPool",
    "metadata": {"name": "blue"},
    "spec": {
        "blocks": [{"cidr": "203.0.113.0/24"}, {"start": "198.51.100.4", "stop": "198.51.100.9"}],
        "serviceSelector": {"matchLabels": {"colour": "blue"}},
        "allowFirstLastIPs": "No",
        "disabled": False,
    },
}
_NAMESPACES: dict[str, Any] = {"namespaces": {"matchLabels": {"team": "shop"}}}
_PODS: dict[str, Any] = {
    "pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}
}
TIERED: dict[str, Any] = {
    "apiVersion": "policy.networking.k8s.io/v1alpha2",
    "kind": "ClusterNetworkPolicy",
    "metadata": {"name": "guard"},
    "spec": {
        "tier": "Admin",
        "priority": 10,
        "subject": _NAMESPACES,
        "ingress": [
            {
                "name": "tools",
                "action": "Accept",
                "from": [_NAMESPACES, _PODS],
                "protocols": [
                    {"tcp": {"destinationPort": {"number": 8080}}},
                    {"udp": {"destinationPort": {"range": {"start": 5000, "end": 5100}}}},
                    {"destinationNamedPort": "http"},
                ],
            }
        ],
        "egress": [
            {"action": "Deny", "to": [{"networks": ["10.0.0.0/8"]}, {"nodes": {}}]},
            {"action": "Pass", "to": [_PODS]},
        ],
    },
}
NODE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "node-1.example", "labels": {"role": "gateway"}},
    "spec": {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24", "fd00:1::/64"]},
    "status": {
        "addresses": [
            {"type": "InternalIP", "address": "192.0.2.1"},
            {"type": "Hostname", "address": "node-1"},
        ],
        "nodeInfo": {"kernelVersion": "6.18"},
    },
}
VALID_POLICIES = (CILIUM, CLUSTERWIDE, GROUP, GATEWAY, POOL, TIERED, NODE)
