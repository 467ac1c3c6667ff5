"""Ingress and IngressClass (networking.k8s.io/v1), in the API's own words."""

from __future__ import annotations

from typing import Any, Literal

from .kubernetes import Object, ObjectMeta, Port
from .references import Name

INGRESS_CONTROLLER = "tulle.io/ingress-controller"
DEFAULT_CLASS_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"
CLASS_ANNOTATION = "kubernetes.io/ingress.class"  # before there was spec.ingressClassName


class ServiceBackendPort(Object, frozen=True):
    """One of the two."""

    name: str = ""
    number: Port | None = None


class IngressServiceBackend(Object, frozen=True):
    name: Name
    port: ServiceBackendPort = ServiceBackendPort()


class IngressBackend(Object, frozen=True):
    """`resource` is refused: no kind of it is known."""

    service: IngressServiceBackend | None = None
    resource: Any = None


class HTTPIngressPath(Object, frozen=True):
    backend: IngressBackend
    path_type: Literal["Exact", "Prefix", "ImplementationSpecific"]
    path: str = ""


class HTTPIngressRuleValue(Object, frozen=True):
    paths: tuple[HTTPIngressPath, ...]


class IngressRule(Object, frozen=True):
    """`host` "": any. Without `http` all goes to the default backend."""

    host: str = ""
    http: HTTPIngressRuleValue | None = None


class IngressTLS(Object, frozen=True):
    hosts: tuple[str, ...] = ()
    secret_name: str = ""


class IngressSpec(Object, frozen=True):
    ingress_class_name: str = ""
    default_backend: IngressBackend | None = None
    rules: tuple[IngressRule, ...] = ()
    tls: tuple[IngressTLS, ...] = ()


class Ingress(Object, frozen=True):
    metadata: ObjectMeta
    spec: IngressSpec = IngressSpec()
    api_version: Literal["networking.k8s.io/v1"] = "networking.k8s.io/v1"
    kind: Literal["Ingress"] = "Ingress"
    status: Any = None


class IngressClassSpec(Object, frozen=True):
    controller: str = ""
    parameters: Any = None  # not acted on


class IngressClass(Object, frozen=True):
    metadata: ObjectMeta
    spec: IngressClassSpec = IngressClassSpec()
    api_version: Literal["networking.k8s.io/v1"] = "networking.k8s.io/v1"
    kind: Literal["IngressClass"] = "IngressClass"
