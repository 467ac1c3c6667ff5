"""Objects as API servers say them: with all that they add to what users wrote."""

from __future__ import annotations

import json
from typing import Any

Fields = dict[str, Any]


def said(name: str, namespace: str = "shop", version: str = "7", **rest: Any) -> bytes:
    metadata = {
        "name": name,
        "uid": "4f2c8a44-0d7e-4f0b-9d4d-1d1f6b3a2a10",
        "resourceVersion": version,
        "generation": 2,
        "creationTimestamp": "2026-05-01T10:00:00Z",
        "labels": {"app": name},
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}\n"},
        "managedFields": [{"manager": "kubectl", "operation": "Update"}],
        "ownerReferences": [{"kind": "Shop", "name": "x"}],
        "finalizers": ["example.com/hold"],
        "deletionTimestamp": None,
        "deletionGracePeriodSeconds": 30,
        "selfLink": "/api/v1/somewhere",
        **rest.pop("metadata", {}),
    }
    if namespace:
        metadata["namespace"] = namespace
    return json.dumps({"metadata": metadata, **rest}).encode()


def service(name: str = "web", version: str = "7", status: Any = None, **spec: Any) -> bytes:
    """As 1.36 says it."""
    full = {
        "ports": [{"protocol": "TCP", "port": 80, "targetPort": 8080}],
        "selector": {"app": name},
        "clusterIP": "10.96.12.7",
        "clusterIPs": ["10.96.12.7"],
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
        **spec,
    }
    full = {key: value for key, value in full.items() if value is not ...}
    return said(name, version=version, spec=full, status=status or {"loadBalancer": {}})


def slice_v1beta1(name: str = "web-x7k2p", **rest: Any) -> bytes:
    """As 1.20 says it."""
    return said(
        name,
        metadata={"labels": {"kubernetes.io/service-name": "web"}, "generateName": "web-"},
        addressType=rest.pop("addressType", "IPv4"),
        endpoints=[
            {
                "addresses": ["10.244.1.5"],
                "conditions": {"ready": True},
                "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-1"},
                "topology": {
                    "kubernetes.io/hostname": "node-1",
                    "topology.kubernetes.io/zone": "west",
                },
            }
        ],
        ports=rest.pop("ports", [{"name": "", "protocol": "TCP", "port": 8080}]),
        **rest,
    )
