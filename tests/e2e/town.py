"""The workloads that all tables of policy speak of, and in each a process that tries connections.

Two more ends are `node`, the node itself (of several the one of `shop`), and `outside`, a host
beside the mesh.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from tests.e2e.cases import Case, World
from tests.e2e.judge import Judge
from tests.e2e.mesh import Cluster, Json, Mesh, tulle, wait_for
from tests.e2e.probes import PROBE, Probes, Question, wait_until_served
from tulle.abi import Action, Reason, RuleId
from tulle.cli.client import Agent
from tulle.model.paths import NodePaths

WORKLOADS = {  # labels, then ports
    "shop/web": (("app=web", "tier=front"), ("http=8080",)),
    "shop/api": (("app=api", "tier=back"), ("http=8081", "names=5353/udp")),
    "shop/db": (("app=db", "tier=back"), ()),
    "bank/teller": (("app=teller", "tier=front"), ()),
    "bank/vault": (("app=vault",), ()),
    "bank/kiosk": (("app=web", "tier=front"), ("http=8082",)),
}
FULL = {name.partition("/")[2]: name for name in WORKLOADS}
TEAMS = {"shop": "red", "bank": "blue"}
SERVICES: dict[
    str, tuple[str, dict[tuple[int, str], int | str]]
] = {  # app, and per port: its number and protocol, and where it leads
    "shop/db-svc": ("db", {(80, "TCP"): 8080, (53, "UDP"): 5353}),
    "shop/web-svc": ("web", {(80, "TCP"): "http"}),
    "shop/api-svc": ("api", {(80, "TCP"): "http"}),
    "bank/vault-svc": ("vault", {(8081, "TCP"): 8080}),
}
SERVICE_LABELS = {"shop/db-svc": {"holds": "data"}}
SERVICE_OF = {name.partition("/")[2]: name for name in SERVICES}
RANGES = {"services": "10.96.0.0/16", "services6": "fd00:7a11:0:96::/112"}
Key = tuple[str, str, str, int]  # source and destination address, protocol, port


@dataclass(frozen=True)
class Told:
    """What somebody says of a case: one of the signs, and the rule that decided or would have."""

    sign: str
    rule: str = ""

    def __str__(self) -> str:
        return f"{self.sign} by {self.rule!r}"


class Town:
    """`homes` are the nodes of the two namespaces: one for both, or one each."""

    def __init__(self, cluster: Cluster, homes: Mapping[str, str]) -> None:
        self.cluster = cluster
        self._homes = {name: cluster[node] for name, node in homes.items()}
        self._applied: list[Json] = []
        self._run_workloads()
        self.addresses = self._find_addresses()
        self._ranges = self._find_ranges()
        cluster.apply(*map(_namespace, TEAMS), *map(_service, SERVICES))
        self._service_addresses = self._find_services()
        nodes = {node.name: node for node in self._homes.values()}
        self._judges = {name: Judge(name) for name in nodes}
        self._agents = {name: Agent(NodePaths(name)) for name in nodes}
        self._probes = self._start_probes()

    def close(self) -> None:
        for judge in self._judges.values():
            judge.close()

    def _run_workloads(self) -> None:
        for name, (tags, ports) in WORKLOADS.items():
            namespace, _, short = name.partition("/")
            options = [word for tag in tags for word in ("-l", tag)]
            options += [word for port in ports for word in ("-p", port)]
            node, line = self._homes[namespace], (*PROBE, "serve", short)
            node.tulle("run", "-d", "-n", namespace, "--name", short, *options, "--", *line)

    def _find_addresses(self) -> dict[tuple[str, int], str]:
        found: dict[tuple[str, int], str] = {
            (item["name"], ip_address(text).version): text
            for node in self._homes.values()
            for item in node.get("endpoints")
            for text in item["addresses"]
        }
        [listed] = [item for item in listed_nodes() if item["name"] == self._homes["shop"].name]
        for text in listed["addresses"]:
            found["node", ip_address(text).version] = text
        for text in ("192.168.96.1", "fd00:7a11:1::1"):
            found["outside", ip_address(text).version] = text
        return found

    def _find_ranges(self) -> dict[str, str]:
        """Of the pods of `shop`'s node."""
        [listed] = [item for item in listed_nodes() if item["name"] == self._homes["shop"].name]
        return {"pods6" if ":" in cidr else "pods": cidr for cidr in listed["pod_cidrs"]}

    def _find_services(self) -> dict[tuple[str, int], str]:
        return {
            (item["name"], ip_address(text).version): text
            for item in self._homes["shop"].get("services")
            for text in item["cluster_ips"]
        }

    def _start_probes(self) -> Probes:
        children = {
            short: self._home(short).spawn(short, *PROBE, "ask", namespace=name.partition("/")[0])
            for short, name in FULL.items()
        }
        host, cluster = self._homes["shop"], self.cluster
        wait_until_served(host.spawn_host(*PROBE, "serve", "node"))
        wait_until_served(cluster.spawn_outside(*PROBE, "serve", "outside"))
        children["node"] = host.spawn_host(*PROBE, "ask")
        children["outside"] = cluster.spawn_outside(*PROBE, "ask")
        return Probes(children)

    def _home(self, end: str) -> Mesh:
        """The node of a workload."""
        return self._homes[FULL[end].partition("/")[0]]

    def enforce(self, world: World) -> None:
        """Its policies and no others."""
        if self._applied:
            self.cluster.delete(*self._applied)
        names = {
            f"{at}{'' if version == 4 else 6}": text
            for (at, version), text in self.addresses.items()
        }
        self._applied = []
        wanted = world.objects({**names, **self._ranges, **RANGES})
        if wanted:
            self.cluster.apply(*wanted)
        self._applied = wanted

    def try_all(self, cases: Sequence[Case]) -> dict[Case, str]:
        """What each client saw, all at once."""
        questions = {
            Question(
                case.source, case.protocol, self._asked_at(case), case.port, case.version
            ): case.wanted
            for case in cases
        }
        answers = self._probes.insist(questions).items()
        by_question = {question: answer.outcome for question, answer in answers}
        return dict(zip(cases, (by_question[question] for question in questions), strict=True))

    def _asked_at(self, case: Case) -> str:
        end = (case.target, case.version)
        return self._service_addresses[end] if case.target in SERVICE_OF else self.addresses[end]

    def explain(self, case: Case) -> Told:
        """What `tulle explain` says on the nodes of both ends."""
        question = {
            "from": self.addresses[case.source, case.version],
            "to": self._asked_at(case),
            "port": case.port,
            "protocol": case.protocol,
        }
        return _first_denial(self._explained(node, question) for node in self._nodes_of(case))

    def _explained(self, node: str, question: Json) -> Told:
        [told] = self._agents[node].post("/v1/explain", question)["results"]
        if told["verdict"] == "DROPPED":
            return Told("!" if told.get("reject") else "-", told["rule"])
        return Told("~", told["audit_rule"]) if told.get("audit_rule") else Told("+", told["rule"])

    def explain_by_command(self, case: Case) -> Json:
        """By names, as users do."""
        ends = [FULL.get(end) or SERVICE_OF[end] for end in (case.source, case.target)]
        options = ("--port", str(case.port), "--protocol", case.protocol, "-o", "json")
        node = self._home(case.source)
        told: Json
        [told] = json.loads(node.tulle("explain", *ends, *options, check=False))["results"]
        return told

    def judge(self, case: Case) -> Told:
        """What the C decision says on the maps of both ends' nodes."""
        return _first_denial(self._judged(node, case) for node in self._nodes_of(case))

    def _judged(self, node: str, case: Case) -> Told:
        src, dst, protocol, port = self.key(case)
        verdict = self._judges[node].judge(src, dst, protocol, port)
        if verdict.reason == Reason.POLICY_DENIED:
            return Told("!" if verdict.action == Action.REJECT else "-")
        if verdict.reason != Reason.ALLOWED:
            return Told(f"{Reason(verdict.reason).name}?")
        return Told("+" if verdict.audit_rule == RuleId.NONE else "~")

    def _nodes_of(self, case: Case) -> list[str]:
        """Whose maps decide: first the source's, then the target's."""
        ends = (case.source, self._behind(case)[0])
        homes = {self._homes["shop"] if end == "node" else None for end in ends}
        found = [self._home(end).name for end in ends if end in FULL]
        found += [home.name for home in homes if home is not None]
        return list(dict.fromkeys(found))

    def _behind(self, case: Case) -> tuple[str, int]:
        """Whom a connection reaches once its service has been chosen, and the port there."""
        if case.target not in SERVICE_OF:
            return case.target, case.port
        app, ports = SERVICES[SERVICE_OF[case.target]]
        port = ports[case.port, case.protocol]
        named = dict(item.split("=") for item in WORKLOADS[FULL[app]][1])
        return app, port if isinstance(port, int) else int(named[port])

    def key(self, case: Case) -> Key:
        """The first packet of its connection, after translation."""
        end, port = self._behind(case)
        version = case.version
        ends = self.addresses[case.source, version], self.addresses[end, version]
        return *ends, case.protocol, port

    def wait_for_rules(self, expected: Mapping[Key, str], verdict: str) -> None:
        """Until `observe` names these rules; its latest word counts."""
        shown: dict[Key, str] = {}

        def named() -> bool:
            shown.clear()
            shown.update((_key_of(flow), _rule_of(flow)) for flow in self._flows(verdict))
            return expected.items() <= shown.items()

        if not expected:
            return
        try:
            wait_for(named, timeout_s=3.0)
        except AssertionError:
            wrong = [
                f"{key}: {shown.get(key)!r} and not {rule!r}"
                for key, rule in expected.items()
                if shown.get(key) != rule
            ]
            raise AssertionError("observe says otherwise:\n" + "\n".join(wrong)) from None

    def _flows(self, verdict: str) -> list[Json]:
        return [
            flow
            for node in {node.name: node for node in self._homes.values()}.values()
            for flow in node.flows("--last", "4000", "--verdict", verdict)
        ]


def _rule_of(flow: Json) -> str:
    """The one that decided, or that would have, were it not in audit mode."""
    return str(flow["audit_rule"]["rule"] if "audit_rule" in flow else flow["rule"])


def _key_of(flow: Json) -> Key:
    [(protocol, what)] = flow["l4"].items()
    port = what["type"] if protocol.startswith("ICMP") else what["destination_port"]
    ends = flow["IP"]["source"], flow["IP"]["destination"]
    return *ends, protocol.replace("ICMPv4", "ICMP"), port


def _first_denial(told: Iterator[Told]) -> Told:
    """A connection comes about if both ends' nodes let it."""
    said = list(told)
    order = {"~": 1, "+": 2}
    return min(said, key=lambda item: order.get(item.sign, 0))


def listed_nodes() -> list[Json]:
    items: list[Json] = json.loads(tulle("lab", "list", "-o", "json"))["items"]
    return items


def _namespace(name: str) -> Json:
    meta = {"name": name, "labels": {"team": TEAMS[name]}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}


def _service(title: str) -> Json:
    namespace, _, name = title.partition("/")
    app, ports = SERVICES[title]
    listed: Sequence[Any] = [
        {"name": f"p{port}", "port": port, "protocol": protocol, "targetPort": target}
        for (port, protocol), target in ports.items()
    ]
    meta = {"name": name, "namespace": namespace, "labels": SERVICE_LABELS.get(title, {})}
    spec = {"selector": {"app": app}, "ipFamilyPolicy": "PreferDualStack", "ports": listed}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}
