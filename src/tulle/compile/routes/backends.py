"""backendRefs → destinations. One that does not hold is broken and says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from tulle.model.kubernetes import Service, ServicePort
from tulle.model.multicluster import MCS_GROUP, SERVICE_IMPORT, import_of, imported
from tulle.model.references import BackendObjectReference
from tulle.model.routing import AppProtocol, Destination
from tulle.model.world import Key

from ..app_protocols import ENCRYPTED, WEB
from .conditions import RESOLVED, Verdict
from .facts import Asking
from .grants import Referrer, Target

Speech = Literal["HTTP", "GRPC", "TCP", "UDP"]

# By a Service port's appProtocol.
_OF_HTTP: Mapping[str, AppProtocol] = {"": AppProtocol.HTTP1, **WEB, **ENCRYPTED}
_OF_GRPC = {
    "": AppProtocol.HTTP2,
    **{name: item for name, item in _OF_HTTP.items() if item is AppProtocol.HTTP2},
    "https": AppProtocol.HTTP2,
}


# What a reference of a kind is called among Services.
_KINDS: Mapping[tuple[str, str], Callable[[str], str]] = {
    ("", "Service"): str,
    (MCS_GROUP, SERVICE_IMPORT): imported,
}


class Backends:
    """Those of one route. What is `sealed` goes on as it came: the proxy adds no TLS to it."""

    def __init__(
        self, asking: Asking, source: Referrer, speech: Speech, sealed: bool = False
    ) -> None:
        self._asking, self._source, self._speech = asking, source, speech
        self._sealed = sealed or speech == "UDP"
        self.problems: list[Verdict] = []
        self.services: set[Key] = set()

    @property
    def resolved(self) -> Verdict:
        """The first problem's reason, and all that is wrong."""
        if not self.problems:
            return RESOLVED
        messages = dict.fromkeys(problem.message for problem in self.problems)
        return Verdict(False, self.problems[0].reason, "; ".join(messages))

    def refuse(self, reason: str, message: str) -> None:
        self.problems.append(Verdict(False, reason, message))

    def destination(
        self, ref: BackendObjectReference, weight: int = 1, own_name: bool = False
    ) -> Destination:
        """`own_name`: the proxy speaks to it for itself, not for a client."""
        namespace = ref.namespace or self._source.namespace
        name = _KINDS.get((ref.group, ref.kind), str)(ref.name)
        found = Destination((namespace, name), ref.port or 0, weight)
        target = Target(ref.group, ref.kind, namespace, ref.name)
        if (ref.group, ref.kind) not in _KINDS:
            kind = f"{ref.group}/{ref.kind}" if ref.group else ref.kind
            return self._broken(found, "InvalidKind", f"{kind} is no kind of backend: Service is")
        if not self._asking.permit(self._source, target, own_name):
            message = f"no ReferenceGrant permits {target}"
            return self._broken(found, "RefNotPermitted", message)
        is_name = not import_of(ref.name)  # the Service of an import is no one's to name
        service = self._asking.service(found.service) if is_name else None
        if service is None:
            return self._broken(found, "BackendNotFound", f"there is no {target}")
        self.services.add(found.service)
        port = self._port(service, found.port)
        if port is None:
            message = f"{target} has no {self._transport} port {found.port}"
            return self._broken(found, "BackendNotFound", message)
        return self._spoken_to(found, port, str(target))

    @property
    def _transport(self) -> str:
        return "UDP" if self._speech == "UDP" else "TCP"

    def _port(self, service: Service, number: int) -> ServicePort | None:
        of_number = [port for port in service.spec.ports if port.port == number]
        return next((port for port in of_number if port.protocol == self._transport), None)

    def _spoken_to(self, found: Destination, port: ServicePort, name: str) -> Destination:
        protocol, says = self._protocol(port), port.app_protocol.lower()
        tls = None if self._sealed else self._asking.upstream_tls(found.service, port.name)
        if protocol is None or (says in ENCRYPTED and tls is None and self._is_http):
            needs = ": it needs a BackendTLSPolicy" if protocol else ""
            message = f"{name} port {port.port}: appProtocol {port.app_protocol}{needs}"
            return self._broken(found, "UnsupportedProtocol", message)
        if isinstance(tls, str):
            return replace(found, broken=tls)
        return replace(found, protocol=protocol, tls=tls)

    @property
    def _is_http(self) -> bool:
        return self._speech in ("HTTP", "GRPC")

    def _protocol(self, port: ServicePort) -> AppProtocol | None:
        match self._speech:
            case "HTTP":
                return _OF_HTTP.get(port.app_protocol.lower())
            case "GRPC":
                return _OF_GRPC.get(port.app_protocol.lower())
            case "TCP":
                return AppProtocol.TCP
            case "UDP":
                return AppProtocol.UDP

    def _broken(self, found: Destination, reason: str, message: str) -> Destination:
        self.refuse(reason, message)
        return replace(found, broken=message)
