"""One valid manifest of each kind, using most fields: what hostile ones are bent from."""

from __future__ import annotations

from typing import Any

from .gateways import VALID_GATEWAYS
from .policies import VALID_POLICIES
from .traffic import VALID_TRAFFIC

SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}, "annotations": {}},
    "spec": {
        "type": "ClusterIP",
        "clusterIP": "10.96.0.10",
        "clusterIPs": ["10.96.0.10", "fd00:7a11:0:96::10"],
        "ipFamilies": ["IPv4", "IPv6"],
        "ipFamilyPolicy": "RequireDualStack",
        "selector": {"app": "web"},
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
        "internalTrafficPolicy": "Cluster",
        "publishNotReadyAddresses": False,
        "ports": [
            {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"},
            {"name": "dns", "port": 53, "targetPort": 5353, "protocol": "UDP"},
        ],
    },
}
POLICY: dict[str, Any] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {
        "podSelector": {
            "matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "tier", "operator": "In", "values": ["front"]}],
        },
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "from": [
                    {"podSelector": {"matchLabels": {"app": "api"}}},
                    {"namespaceSelector": {"matchLabels": {"team": "shop"}}},
                    {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                ],
                "ports": [{"protocol": "TCP", "port": 8000, "endPort": 8999}, {"port": "http"}],
            }
        ],
        "egress": [{"to": [{"podSelector": {}}], "ports": [{"protocol": "UDP", "port": 53}]}],
    },
}
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web-1",
        "namespace": "shop",
        "labels": {"app": "web"},
        "annotations": {"tulle.io/weight": "3"},
    },
    "spec": {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 5,
        "hostname": "web-1",
        "containers": [
            {
                "name": "web",
                "command": ["python3", "-m", "http.server"],
                "args": ["8080"],
                "workingDir": "/srv",
                "env": [{"name": "MODE", "value": "x"}],
                "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 2},
            }
        ],
    },
}
SLICE: dict[str, Any] = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {
        "name": "db-1",
        "namespace": "shop",
        "labels": {"kubernetes.io/service-name": "db"},
    },
    "addressType": "IPv4",
    "endpoints": [{"addresses": ["10.1.2.3"], "conditions": {"ready": True}}],
    "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}],
}
NAMESPACE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "shop", "labels": {"team": "shop"}},
}
VALID = (SERVICE, POLICY, POD, SLICE, NAMESPACE, *VALID_POLICIES, *VALID_GATEWAYS, *VALID_TRAFFIC)
