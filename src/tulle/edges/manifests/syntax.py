"""How names, labels, ports and addresses are written: Kubernetes' rules, one check each.

Checks take the value and its path, and raise FieldError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from tulle.model.kubernetes import LabelSelector
from tulle.model.world import IPAddress, IPNetwork

from .fields import FieldError, quote

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SERVICE_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_VISIBLE = re.compile("[!-~]*")
_CIDR = re.compile(r"[0-9a-fA-F.:]+/[0-9]{1,3}")
_BROADCAST = IPv4Address("255.255.255.255")
_MAPPED = IPv6Network("::ffff:0:0/96")

DNS_LABEL_MAX = 63
DNS_SUBDOMAIN_MAX = 253
INT32_MAX = 2**31 - 1


def is_dns_label(text: str) -> bool:
    return len(text) <= DNS_LABEL_MAX and bool(_DNS_LABEL.fullmatch(text))


def is_dns_subdomain(text: str) -> bool:
    labels = text.split(".")
    return len(text) <= DNS_SUBDOMAIN_MAX and all(_DNS_LABEL.fullmatch(label) for label in labels)


def check_visible(text: str, *path: str | int) -> None:
    """What goes into a request or an answer as it is."""
    if not _VISIBLE.fullmatch(text):
        raise FieldError(f"{quote(text)} must be visible ASCII characters only", *path)


def check_dns_label(text: str, *path: str | int) -> None:
    if not is_dns_label(text):
        reason = "must be at most 63 lower-case letters, digits and inner '-' (RFC 1123 label)"
        raise FieldError(f"{quote(text)} {reason}", *path)


def check_dns_subdomain(text: str, *path: str | int) -> None:
    if not is_dns_subdomain(text):
        reason = "must be at most 253 lower-case letters, digits, inner '-' and '.' (RFC 1123)"
        raise FieldError(f"{quote(text)} {reason}", *path)


def check_port_name(text: str, *path: str | int) -> None:
    """IANA_SVC_NAME of RFC 6335."""
    letter = any("a" <= char <= "z" for char in text)
    if len(text) > 15 or not letter or not _SERVICE_NAME.fullmatch(text):
        reason = "must be 1 to 15 lower-case letters, digits and single inner '-', with a letter"
        raise FieldError(f"{quote(text)} {reason} (RFC 6335)", *path)


def check_key(key: str, *path: str | int) -> None:
    """Key of a label or annotation: `name` or `prefix/name`."""
    prefix, slash, name = key.rpartition("/")
    if slash and not is_dns_subdomain(prefix):
        raise FieldError(f"prefix of key {quote(key)} must be a DNS name", *path, key)
    if len(name) > 63 or not _QUALIFIED.fullmatch(name):
        reason = "must be at most 63 letters, digits and inner '-', '_', '.'"
        raise FieldError(f"key {quote(key)} {reason}", *path, key)


def check_label_value(value: str, *path: str | int) -> None:
    if value and (len(value) > 63 or not _QUALIFIED.fullmatch(value)):
        reason = "must be empty or at most 63 letters, digits and inner '-', '_', '.'"
        raise FieldError(f"{quote(value)} {reason}", *path)


def check_labels(
    labels: Mapping[str, str], *path: str | int, name_of: Callable[[str], str] = str
) -> None:
    for key, value in labels.items():
        _check_name(name_of(key), *path, key)
        check_label_value(value, *path, key)


def check_selector(
    selector: LabelSelector, *path: str | int, name_of: Callable[[str], str] = str
) -> None:
    """`name_of` is the part of a key that must be a label's name."""
    check_labels(selector.match_labels, *path, "matchLabels", name_of=name_of)
    for index, item in enumerate(selector.match_expressions):
        place = (*path, "matchExpressions", index)
        if not item.key:
            raise FieldError("is required", *place, "key")
        _check_name(name_of(item.key), *place, "key")
        if item.operator in ("In", "NotIn") and not item.values:
            raise FieldError(f"needs at least one value for {item.operator}", *place, "values")
        if item.operator in ("Exists", "DoesNotExist") and item.values:
            raise FieldError(f"must be empty for {item.operator}", *place, "values")
        for position, value in enumerate(item.values):
            check_label_value(value, *place, "values", position)


def _check_name(name: str, *path: str | int) -> None:
    """`check_key` where the place is not the key itself."""
    try:
        check_key(name)
    except FieldError as error:
        raise FieldError(error.reason, *path) from error


def parse_address(text: str, *path: str | int) -> IPAddress:
    """An address that a workload or service may have."""
    try:
        address = ip_address(text)
    except ValueError:
        raise FieldError(f"{quote(text)} is not an IP address", *path) from None
    if isinstance(address, IPv6Address) and address.scope_id:
        raise FieldError(f"{quote(text)} must not name a zone", *path)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        raise FieldError(f"{quote(text)} must be written as IPv4", *path)
    for what, is_it in (
        ("unspecified", address.is_unspecified),
        ("loopback", address.is_loopback),
        ("link-local", address.is_link_local),
        ("multicast", address.is_multicast),
        ("broadcast", address == _BROADCAST),
    ):
        if is_it:
            raise FieldError(f"{quote(text)} is a {what} address", *path)
    return address


def parse_cidr(text: str, *path: str | int) -> IPNetwork:
    """A prefix; bits beyond its length are dropped, as Kubernetes does."""
    if not _CIDR.fullmatch(text):
        raise FieldError(f"{quote(text)} is not a CIDR such as 10.0.0.0/8 or fd00::/64", *path)
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise FieldError(f"{quote(text)} is not a CIDR such as 10.0.0.0/8", *path) from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        raise FieldError(f"{quote(text)} must be written as IPv4", *path)
    return network


def check_absent(obj: object, fields: Mapping[str, str], *path: str | int) -> None:
    """Refuse Kubernetes fields that Tulle cannot honour: snake_case name → camelCase name."""
    for attribute, name in fields.items():
        if getattr(obj, attribute):
            raise FieldError("is not supported yet", *path, name)
