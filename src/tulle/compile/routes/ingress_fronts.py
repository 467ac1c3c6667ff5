"""Ingress classes → fronts of the proxy, with their certificates, and what is said of Ingresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tulle.model.ingress import Ingress, IngressTLS
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import Certificate, Front, Server, Termination, VirtualHost
from tulle.model.world import IPAddress, Key

from .contents import Contents, Problem
from .grants import Grants, Referrer, Target
from .hosts import Hosts
from .ingress import IngressForm

NAMESPACE, SERVICE_PREFIX = "default", "tulle-ingress-"
PLAIN_PORT, TLS_PORT = 80, 443


def service_of(name: str) -> Key:
    """The Service that is made for a class."""
    return NAMESPACE, SERVICE_PREFIX + name


class ClassFronts:
    """Of one class. `problems` are told by Ingress."""

    def __init__(self, name: str, forms: Sequence[IngressForm], contents: Contents) -> None:
        self._name, self._forms = name, forms
        self.problems: list[tuple[ObjectRef, str]] = []
        self._certificates = dict(self._by_host(contents))

    def fronts(self, addresses: tuple[IPAddress, ...], hosts: Hosts) -> Iterator[Front]:
        if not addresses:
            return
        plain = Server("http", hosts=self._hosts("http", "", hosts))
        secure = tuple(
            Server(
                f"https/{host or '*'}",
                host,
                "HTTPS",
                Termination(certificates),
                self._hosts("https", host, hosts),
            )
            for host, certificates in self._certificates.items()
        )
        for port, servers in ((PLAIN_PORT, (plain,)), (TLS_PORT, secure)):
            if servers:
                yield Front(
                    name=f"ingress/{self._name}/{port}",
                    origin=ObjectRef("IngressClass", "", self._name),
                    service=service_of(self._name),
                    addresses=addresses,
                    port=port,
                    servers=servers,
                )

    def _hosts(self, server: str, hostname: str, hosts: Hosts) -> tuple[VirtualHost, ...]:
        seats = [(item, (item.host,)) for form in self._forms for item in form.hosts]
        return hosts.of(("ingress", self._name, server, hostname), hostname, seats)

    def _by_host(self, contents: Contents) -> Iterator[tuple[str, tuple[Certificate, ...]]]:
        """The oldest Ingress that has a certificate for a host decides."""
        found: dict[str, Certificate] = {}
        for form in self._forms:
            for index, tls in enumerate(form.ingress.spec.tls):
                certificate = self._certificate(form, index, tls, contents)
                if certificate is not None:
                    for host in tls.hosts or ("",):
                        found.setdefault(host, certificate)
        for host, certificate in sorted(found.items()):
            yield host, (certificate,)

    def _certificate(
        self, form: IngressForm, index: int, tls: IngressTLS, contents: Contents
    ) -> Certificate | None:
        meta = form.ingress.metadata
        if not tls.secret_name:
            problem = "no secretName: there is no certificate to serve"
        else:
            target = Target("", "Secret", meta.namespace, tls.secret_name)
            answer = contents.certificate(Referrer("Ingress", meta.namespace), target, Grants(()))
            if not isinstance(answer, Problem):
                return answer
            problem = answer.message
        ref = ObjectRef("Ingress", meta.namespace, meta.name)
        self.problems.append((ref, f"spec.tls[{index}]: {problem}"))
        return None


def ports_of(ingresses: Iterable[Ingress]) -> list[tuple[int, str]]:
    """Of a class, by whether any of its Ingresses has TLS."""
    secure = any(item.spec.tls for item in ingresses)
    return [(PLAIN_PORT, "TCP"), *([(TLS_PORT, "TCP")] if secure else [])]
