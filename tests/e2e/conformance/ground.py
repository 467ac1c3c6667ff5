"""Two nodes, backends on both, and who asks them: what all rows of the table stand on.

Backends are `one` and `three` on node a, `two` on b, `four` on a in another namespace; of the
service `mixed` the backend `five` answers and `dead` does not listen. Clients are the workloads
`client` and, in the other namespace, `tenant`, and a host outside, which reaches the Gateways'
addresses by node a. Each client runs one process that sends requests.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conformance.certificates import Authority, Pair
from tests.e2e.conformance.table import DOOR, DOOR6, Check, Expect, Json, Row, objects_of
from tests.e2e.field import listed_addresses, pool
from tests.e2e.mesh import Cluster, wait_for

HERE = Path(__file__).parent
BACKENDS = {
    "one": ("a", "shop"),
    "two": ("b", "shop"),
    "three": ("a", "shop"),
    "four": ("a", "lab"),
}
PORTS = {  # of each backend's service: port, its target, what it speaks
    "http": (80, 8080, ""),
    "h2c": (81, 8081, "kubernetes.io/h2c"),
    "ws": (82, 8080, "kubernetes.io/ws"),
    "grpc": (90, 9090, ""),
    "dead": (99, 9999, ""),
    "tls": (443, 8443, ""),
    "tcp": (900, 9000, ""),
    "tcp-tls": (944, 9443, ""),
}
# Of the Gateways' certificate: no client takes a wildcard for a whole top-level domain.
DOOR_NAMES = ("gateway.test", "*.tls.test", "ended.test", "clients0.test", "clients1.test")
WAIT_S = 15.0  # only what fails takes so long
STEP_S = 0.1


class Ground:
    """`directory` is for the files of certificates; all `rows` are applied at once."""

    def __init__(self, cluster: Cluster, directory: Path, rows: Iterable[Row]) -> None:
        self.cluster, self.directory = cluster, directory
        self.authority, self.stranger = Authority("tulle test"), Authority("somebody else")
        self.pairs = {
            "door": self.authority.issue(*DOOR_NAMES),
            "backend": self.authority.issue("backend.test", uris=("spiffe://shop.test/backend",)),
            "client": self.authority.issue("client.test"),
            "unknown": self.stranger.issue("client.test"),
        }
        self._write_files()
        self._run_backends()
        for network in ("192.0.2.0/24", "2001:db8:7a11::/112"):
            address = listed_addresses(cluster["a"].name)[6 if ":" in network else 4]
            cluster.outside("ip", "route", "replace", network, "via", address)
        line = ("-l", "app=client", "--", "sleep", "inf")
        for namespace, name in (("shop", "client"), ("lab", "tenant")):
            cluster["a"].tulle("run", "-d", "-n", namespace, "--name", name, *line)
        asker = (sys.executable, str(HERE / "asker.py"))
        self._askers = {
            "outside": cluster.spawn_outside(*asker),
            "client": cluster["a"].spawn("client", *asker),
            "tenant": cluster["a"].spawn("tenant", *asker, namespace="lab"),
        }
        self.apply(*common(self.pairs, self.authority.pem))
        text = yaml.safe_dump_all([item for row in rows for item in row.objects])
        cluster["a"].tulle("apply", "-f", "-", stdin=text, check=False)  # each row tells its own

    def _write_files(self) -> None:
        for name, pair in self.pairs.items():
            (self.directory / f"{name}.pem").write_text(pair.certificate)
            (self.directory / f"{name}.key").write_text(pair.key)
        (self.directory / "authority.pem").write_text(self.authority.pem)

    def _run_backends(self) -> None:
        files = [str(self.directory / name) for name in ("backend.pem", "backend.key")]
        for name, (node, namespace) in BACKENDS.items():
            line = (sys.executable, str(HERE / "echo.py"), name, *files)
            line = (*line, str(self.directory / "authority.pem"))
            words = ("-d", "-n", namespace, "--name", name, "-l", f"app={name}", "--", *line)
            self.cluster[node].tulle("run", *words)
        sleeper, mixed = self.cluster["a"], ("-l", "app=mixed", "-p")
        line = (sys.executable, str(HERE / "echo.py"), "five")
        sleeper.tulle("run", "-d", "-n", "shop", "--name", "five", *mixed, "http=8080", "--", *line)
        line = ("sleep", "inf")
        sleeper.tulle("run", "-d", "-n", "shop", "--name", "dead", *mixed, "http=9999", "--", *line)
        for name, (node, namespace) in BACKENDS.items():
            inside = ("exec", "-n", namespace, name, "--", "ss", "-Hltn", "sport = :9443")
            wait_for(lambda: self.cluster[node].tulle(*inside) != "")  # noqa: B023

    def tls(self, client: str = "") -> Json:
        """For an `ask`: whom the client trusts, and what it shows."""
        shown = {"authorities": str(self.directory / "authority.pem")}
        if client:
            shown["certificate"] = str(self.directory / f"{client}.pem")
            shown["key"] = str(self.directory / f"{client}.key")
        return shown

    def apply(self, *objects: Json) -> None:
        """On node a; what the others follow is waited for by asking."""
        self.cluster["a"].apply(*objects)

    def manifest(self, kind: str, name: str, namespace: str = "shop") -> Json:
        """With its status, as `tulle get` has it."""
        listed = self.cluster["a"].get("routes" if kind.endswith("Route") else "gateways")
        found = (
            item["manifest"]
            for item in listed
            if (item["kind"], item["namespace"], item["name"]) == (kind, namespace, name)
        )
        return next(found)

    # --- asking ---

    def ask(self, *checks: Check) -> list[list[Json]]:
        """The answers to each, asked at the same time."""
        found: dict[int, list[Json]] = {}
        for client, asker in self._askers.items():
            mine = [number for number, check in enumerate(checks) if check.client == client]
            if mine:
                found |= dict(zip(mine, _asked(asker, self._resolved(checks, mine)), strict=True))
        return [found[number] for number in range(len(checks))]

    def _resolved(self, checks: Iterable[Check], mine: list[int]) -> list[Json]:
        """With files in the place of names of certificates."""
        asked = [check.ask for number, check in enumerate(checks) if number in mine]
        return [
            item | {"tls": self.tls(item["tls"] if isinstance(item["tls"], str) else "")}
            if item.get("tls")
            else item
            for item in asked
        ]

    def insist(self, *checks: Check) -> None:
        """All hold, at the latest after a while: configuration takes its time to arrive."""
        began = time.monotonic()
        while True:
            wrong = [
                f"{check.ask}: {reason}"
                for check in checks
                if (reason := self._fault(check)) is not None
            ]
            if not wrong:
                return
            assert time.monotonic() < began + WAIT_S, "\n".join(wrong)
            time.sleep(STEP_S)

    def _fault(self, check: Check) -> str | None:
        began = time.monotonic()
        (answers,) = self.ask(check)
        took_s = time.monotonic() - began
        expect = check.expect
        if not expect.at_least_s <= took_s <= expect.at_most_s + 1:
            return f"took {took_s:.2f} s: {answers[:1]}"
        if expect.shares is not None:
            return _unshared(expect.shares, answers)
        return next((why for item in answers if (why := fault(expect, item)) is not None), None)

    def judge(self, row: Row) -> None:
        self.apply(*row.objects)  # unchanged, unless it was refused
        self.insist(*row.checks)
        if row.also is not None:
            row.also(self)


def standing(row: Row) -> Any:
    """A parameter of pytest: a row with something missing has to fail."""
    marks = [pytest.mark.xfail(reason=row.missing, strict=True)] if row.missing else []
    return pytest.param(row, id=row.id, marks=marks)


def _asked(asker: subprocess.Popen[str], asked: list[Json]) -> list[list[Json]]:
    assert asker.stdin is not None and asker.stdout is not None
    print(json.dumps(asked), file=asker.stdin, flush=True)
    found: list[list[Json]] = json.loads(asker.stdout.readline())
    return found


def fault(expect: Expect, answer: Json) -> str | None:
    """What of an answer is not as expected; None if all is."""
    if expect.fails != ("error" in answer):
        return str(answer)
    if expect.fails:
        return None
    body = echoed(answer)
    seen = {name: ",".join(values) for name, values in body.get("headers", {}).items()}
    headers = dict(answer["headers"])
    wrong = [
        name
        for name, wanted, found in (
            ("status", expect.status, answer["status"]),
            ("backend", expect.backend, body.get("name")),
            ("path", expect.path, body.get("path")),
            ("host", expect.host, body.get("host")),
            ("protocol", expect.protocol, body.get("protocol")),
            ("body", expect.body, answer["body"]),
        )
        if wanted is not None and wanted != found
    ]
    wrong += [f"got {name}" for name in expect.got if not _says(expect.got[name], seen.get(name))]
    wrong += [f"got {name}" for name in expect.not_got if name in seen]
    wrong += [name for name in expect.has if not _says(expect.has[name], headers.get(name))]
    wrong += [name for name in expect.has_not if name in headers]
    return f"not as expected: {', '.join(wrong)}: {answer}" if wrong else None


def _says(wanted: str, found: str | None) -> bool:
    return found is not None and re.fullmatch(wanted, found) is not None


def echoed(answer: Json) -> Json:
    """What the backend told; of a line, its name."""
    try:
        told: Json = json.loads(answer.get("body", ""))
    except ValueError:
        return {"name": answer["body"].split(" ")[0]} if answer.get("body") else {}
    return told


def _unshared(shares: dict[str, tuple[float, float]], answers: list[Json]) -> str | None:
    counts = Counter(echoed(item).get("name", str(item)) for item in answers)
    total = sum(counts.values())
    if set(counts) <= set(shares) and all(
        low <= counts[name] / total <= high for name, (low, high) in shares.items()
    ):
        return None
    return f"shares {dict(counts)}"


def common(pairs: dict[str, Pair], authority: str) -> list[Json]:
    """What several rows share: services, the Gateway `door`, certificates."""
    services = [_service(name, namespace) for name, (_, namespace) in BACKENDS.items()]
    secrets = [_secret(name, pair) for name, pair in pairs.items()]
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "authority", "namespace": "shop"},
        "data": {"ca.crt": authority},
    }
    namespaces = [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {"of": name}},
        }
        for name in ("shop", "lab")
    ]
    return [
        *namespaces,
        pool(),
        *services,
        *secrets,
        config,
        *objects_of(_MIXED),
        *objects_of(_DOOR),
    ]


def _service(name: str, namespace: str) -> Json:
    ports: list[Json] = [
        {"name": port, "port": number, "targetPort": target}
        | ({"appProtocol": speaks} if speaks else {})
        for port, (number, target, speaks) in PORTS.items()
    ]
    ports.append({"name": "udp", "port": 53, "targetPort": 5353, "protocol": "UDP"})
    spec = {"selector": {"app": name}, "ipFamilyPolicy": "PreferDualStack", "ports": ports}
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def _secret(name: str, pair: Pair) -> Json:
    data = {"tls.crt": pair.certificate, "tls.key": pair.key}
    meta = {"name": name, "namespace": "shop"}
    kind, of = "Secret", "kubernetes.io/tls"
    return {"apiVersion": "v1", "kind": kind, "metadata": meta, "type": of, "stringData": data}


_MIXED = """
apiVersion: v1
kind: Service
metadata: {name: mixed, namespace: shop}
spec:
  selector: {app: mixed}
  ports: [{name: http, port: 80, targetPort: http}]
"""
_DOOR = f"""
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: door, namespace: shop}}
spec:
  gatewayClassName: tulle
  addresses: [{{value: {DOOR}}}, {{value: "{DOOR6}"}}]
  listeners:
    - {{name: http, port: 80, protocol: HTTP, allowedRoutes: {{namespaces: {{from: All}}}}}}
    - {{name: http-8080, port: 8080, protocol: HTTP}}
    - name: https
      port: 443
      protocol: HTTPS
      tls: {{certificateRefs: [{{name: door}}]}}
"""
