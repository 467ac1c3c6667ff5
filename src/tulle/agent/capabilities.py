"""What a runtime asks of a plugin beside its configuration: CNI's conventions. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Literal

import msgspec

from tulle.errors import Refused, printable
from tulle.model.bandwidth import LEAST, MOST, UNLIMITED, Bandwidth, Limit
from tulle.model.kubernetes import ContainerPort, Protocol

# of runtimeConfig: what asks for nothing of ours
_HARMLESS = {"dns", "io.kubernetes.cri.pod-annotations", "podAnnotations", "cgroupPath"}
_OURS = {"portMappings", "bandwidth"}
# what runtimes say where nobody has said anything
_NO_BURST = {2**31 - 1, 2**32 - 1}


class _PortMapping(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    host_port: int
    container_port: int = 0
    protocol: Literal["tcp", "udp", "sctp", "TCP", "UDP", "SCTP"] = "TCP"
    host_ip: str = msgspec.field(name="hostIP", default="")


class _Bandwidth(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """Bits, and bits per second."""

    ingress_rate: int = 0
    ingress_burst: int = 0
    egress_rate: int = 0
    egress_burst: int = 0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a pod is to have beside an interface; `mappings` are ports of the node for it.

    `addresses` are those that a plugin before us gave to an interface that it made.
    """

    mappings: tuple[ContainerPort, ...] = ()
    bandwidth: Bandwidth = UNLIMITED
    addresses: tuple[str, ...] = ()


NOTHING = Wishes()


def check_supported(given: Mapping[str, Any]) -> None:
    """Raises Refused for the first that Tulle knows nothing of."""
    for name, value in given.items():
        if name not in _HARMLESS | _OURS and not _is_nothing(value):
            reason = "not supported, take it out of capabilities"
            raise Refused(f"runtimeConfig.{printable(name)}: {reason}")


def wishes_of(given: Mapping[str, Any]) -> Wishes:
    """Raises Refused, which names the place."""
    return Wishes(mappings_of(given), bandwidth_of(given))


def bandwidth_of(given: Mapping[str, Any]) -> Bandwidth:
    """Raises Refused, which names the place."""
    where = "runtimeConfig.bandwidth"
    asked = _converted(given.get("bandwidth"), _Bandwidth | None, where) or _Bandwidth()
    return Bandwidth(
        _limit(asked.ingress_rate, asked.ingress_burst, f"{where}.ingress"),
        _limit(asked.egress_rate, asked.egress_burst, f"{where}.egress"),
    )


def _limit(rate: int, burst: int, where: str) -> Limit | None:
    if not rate:
        return None
    if not LEAST <= rate <= MOST:
        raise Refused(f"{where}Rate: must be from {LEAST} to {MOST} bits per second")
    if burst < 0:
        raise Refused(f"{where}Burst: must not be negative")
    return Limit(rate, 0 if burst in _NO_BURST else burst)


def either(first: Bandwidth, second: Bandwidth) -> Bandwidth:
    """In each direction what the first says, or else the second."""
    return Bandwidth(first.ingress or second.ingress, first.egress or second.egress)


def mappings_of(given: Mapping[str, Any]) -> tuple[ContainerPort, ...]:
    """Ports of the node that lead to the pod. Raises Refused, which names the place."""
    where = "runtimeConfig.portMappings"
    items = _converted(given.get("portMappings"), list[_PortMapping] | None, where)
    return tuple(_mappings(items or (), where))


def with_mappings(
    ports: Sequence[ContainerPort], mappings: Sequence[ContainerPort]
) -> tuple[ContainerPort, ...]:
    """A pod's own ports, and what else its runtime maps: a kubelet's names the same ones again."""
    own = {(port.host_port, port.protocol) for port in ports}
    return (*ports, *(item for item in mappings if (item.host_port, item.protocol) not in own))


def _mappings(items: Sequence[_PortMapping], where: str) -> Iterator[ContainerPort]:
    for place, item in enumerate(items):
        if not item.host_port:
            continue
        at = f"{where}[{place}]"
        inside = item.container_port or item.host_port
        for name, port in (("hostPort", item.host_port), ("containerPort", inside)):
            if not 0 < port <= 65535:
                raise Refused(f"{at}.{name}: {port} is no port")
        protocol: Protocol = item.protocol.upper()  # type: ignore[assignment] # of the literals
        yield ContainerPort(inside, "", protocol, item.host_port, _address(item, at))


def _address(item: _PortMapping, at: str) -> str:
    try:
        return str(ip_address(item.host_ip)) if item.host_ip else ""
    except ValueError as error:
        raise Refused(f"{at}.hostIP: {printable(item.host_ip)} is no address") from error


def _converted(value: Any, kind: Any, where: str) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at ")
        raise Refused(f"{where}{path.strip('`').removeprefix('$')}: {printable(reason)}") from error


def _is_nothing(value: Any) -> bool:
    """Runtimes pass capabilities on that a pod makes no use of.

    >>> _is_nothing({"ingressRate": 0}), _is_nothing([{"hostPort": 80}])
    (True, False)
    """
    if isinstance(value, dict):
        return all(map(_is_nothing, value.values()))
    return not value
