"""Rules of networking.k8s.io/v1 Ingress and IngressClass."""

from __future__ import annotations

import re
from ipaddress import ip_address

import msgspec

from tulle.model.ingress import HTTPIngressPath, Ingress, IngressBackend, IngressClass

from .fields import FieldError, quote
from .syntax import check_dns_label, check_dns_subdomain

_CONTROLLER = re.compile(
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
)
_NOT_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F")
_NOT_AT_THE_END = ("/..", "/.")


def validate_ingress(ingress: Ingress) -> Ingress:
    """A status is dropped: Tulle says its own."""
    spec = ingress.spec
    if spec.ingress_class_name:
        check_dns_subdomain(spec.ingress_class_name, "spec", "ingressClassName")
    if not spec.rules and spec.default_backend is None:
        raise FieldError("needs rules or a defaultBackend", "spec")
    if spec.default_backend is not None:
        _check_backend(spec.default_backend, "spec", "defaultBackend")
    for index, rule in enumerate(spec.rules):
        path = ("spec", "rules", index)
        _check_host(rule.host, *path, "host")
        if rule.http is None:
            continue
        if not rule.http.paths:
            raise FieldError("needs at least one item", *path, "http", "paths")
        for number, item in enumerate(rule.http.paths):
            _check_path(item, *path, "http", "paths", number)
    for index, tls in enumerate(spec.tls):
        for number, host in enumerate(tls.hosts):
            _check_host(host, "spec", "tls", index, "hosts", number)
        if tls.secret_name:
            check_dns_subdomain(tls.secret_name, "spec", "tls", index, "secretName")
    return msgspec.structs.replace(ingress, status=None)


def validate_ingress_class(ingress_class: IngressClass) -> IngressClass:
    controller = ingress_class.spec.controller
    if len(controller) > 250 or not _CONTROLLER.fullmatch(controller):
        reason = "must be a name below a domain, such as tulle.io/ingress-controller"
        raise FieldError(f"{quote(controller)} {reason}", "spec", "controller")
    return ingress_class


def _check_host(host: str, *path: str | int) -> None:
    if not host:
        return
    try:
        ip_address(host)
    except ValueError:
        check_dns_subdomain(host.removeprefix("*."), *path)
    else:
        raise FieldError(f"{quote(host)} must be a name, not an IP address", *path)


def _check_path(item: HTTPIngressPath, *path: str | int) -> None:
    text = item.path
    if item.path_type != "ImplementationSpecific" or text:
        if not text.startswith("/"):
            raise FieldError(f"{quote(text)} must start with /", *path, "path")
        for part in _NOT_IN_PATHS:
            if part in text:
                raise FieldError(f"{quote(text)} must not contain {quote(part)}", *path, "path")
        for part in _NOT_AT_THE_END:
            if text.endswith(part):
                raise FieldError(f"{quote(text)} must not end with {quote(part)}", *path, "path")
    _check_backend(item.backend, *path, "backend")


def _check_backend(backend: IngressBackend, *path: str | int) -> None:
    if backend.resource is not None:
        raise FieldError("is not supported: there is no kind that it could name", *path, "resource")
    if backend.service is None:
        raise FieldError("is required", *path, "service")
    check_dns_label(backend.service.name, *path, "service", "name")
    port = backend.service.port
    if bool(port.name) == (port.number is not None):
        raise FieldError("needs one of name and number", *path, "service", "port")
