"""Core kinds as API servers have them → as Tulle takes them from a file. Pure."""

from __future__ import annotations

from typing import Any

from tulle.edges.manifests.external import RANGES_ANNOTATION
from tulle.model.kubernetes import HEADLESS, LB_ADDRESSES_ANNOTATIONS, SERVICE_NAME_LABEL

Fields = dict[str, Any]

LOAD_BALANCER_CLASS = "tulle.io/lb"
_HOSTNAME, _ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
_BALANCED_ONLY = (
    "loadBalancerIP",
    "loadBalancerSourceRanges",
    "allocateLoadBalancerNodePorts",
)
_BALANCED_ANNOTATIONS = (*LB_ADDRESSES_ANNOTATIONS, RANGES_ANNOTATION)


def service(value: Fields) -> Fields | None:
    """None for an ExternalName: it needs DNS, and routes to it lead nowhere anyway.

    Its address families are those of its addresses: the server has given out all there are.
    """
    spec = dict(value.get("spec") or {})
    if spec.get("type") == "ExternalName":
        return None
    for name in ("externalName", "healthCheckNodePort"):  # the latter is set for every Local
        spec.pop(name, None)
    foreign = _is_foreign(spec)
    spec.pop("loadBalancerClass", None)
    value = {**value, "spec": spec}
    if foreign and not _has_ingress(value):
        value, spec = _unbalanced(value)
    given = spec.get("clusterIPs") or [spec.get("clusterIP") or ""]
    if HEADLESS not in given and all(given):
        spec["ipFamilies"] = ["IPv6" if ":" in text else "IPv4" for text in given]
        spec["ipFamilyPolicy"] = "SingleStack" if len(given) == 1 else "RequireDualStack"
    return value


def _is_foreign(spec: Fields) -> bool:
    return spec.get("loadBalancerClass") not in (None, "", LOAD_BALANCER_CLASS)


def _has_ingress(value: Fields) -> bool:
    """Somebody has given it addresses: they are served where they arrive."""
    return bool(((value.get("status") or {}).get("loadBalancer") or {}).get("ingress"))


def _unbalanced(value: Fields) -> tuple[Fields, Fields]:
    """As NodePort, and its spec: another controller is to balance it, and has not begun."""
    metadata, spec = value["metadata"], value["spec"]
    spec = {name: item for name, item in spec.items() if name not in _BALANCED_ONLY}
    spec["type"] = "NodePort"
    annotations = metadata.get("annotations") or {}
    kept = {name: text for name, text in annotations.items() if name not in _BALANCED_ANNOTATIONS}
    return {**value, "metadata": {**metadata, "annotations": kept}, "spec": spec}, spec


def endpoint_slice(value: Fields) -> Fields | None:
    """None for names instead of addresses, and for a slice of no Service."""
    labels = value["metadata"].get("labels") or {}
    if value.get("addressType") == "FQDN" or not labels.get(SERVICE_NAME_LABEL):
        return None
    ports = [
        port
        for port in value.get("ports") or ()
        if port.get("port") and port.get("protocol") != "SCTP"
    ]
    return {
        **value,
        "ports": ports,
        "endpoints": list(map(_endpoint, value.get("endpoints") or ())),
    }


def _endpoint(endpoint: Fields) -> Fields:
    """v1beta1 says in `topology` where it is."""
    topology = endpoint.get("topology") or {}
    places = {"nodeName": topology.get(_HOSTNAME), "zone": topology.get(_ZONE)}
    return {**places, **{name: item for name, item in endpoint.items() if item is not None}}
