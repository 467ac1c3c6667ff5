"""Objects that controllers and kubelets would make, where a test has none of them."""

from __future__ import annotations

import json

from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.kubectl import Json


def listing(name: str, of: str, node: str, *addresses: str) -> Json:
    """As an API server of 1.20 has it."""
    endpoints = [
        {
            "addresses": [address],
            "conditions": {"ready": True},
            "topology": {"kubernetes.io/hostname": node},
        }
        for address in addresses
    ]
    labels = {"kubernetes.io/service-name": of}
    return {
        "apiVersion": "discovery.k8s.io/v1beta1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "p", "port": 8080, "protocol": "TCP"}],
    }


def pod(name: str, app: str, node: str) -> Json:
    """Without a kubelet nobody runs it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": app}},
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": "none"}]},
    }


def say_running(plane: ControlPlane, name: str, address: str) -> None:
    """As a kubelet would of a Pod in `shop`."""
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
    patch = json.dumps({"status": status})
    where = ("-n", "shop", name, "--subresource=status", "--type=merge", "-p", patch)
    plane.kubectl("patch", "pod", *where)
