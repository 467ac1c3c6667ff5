"""The workloads that all tables of policy speak of, and in each a process that tries connections.

Two more ends are `node`, the node itself (of several the one of the other end), and `outside`, a
host beside the mesh.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import yaml

from tests.e2e.cases import Case, World
from tests.e2e.field import OUTSIDE, listed_addresses
from tests.e2e.judge import Judge
from tests.e2e.mesh import Cluster, Json, Mesh, wait_for
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
RANGES = {  # of all nodes
    "pods": "10.244.0.0/16",
    "pods6": "fd00:7a11:0:244::/64",
    "services": "10.96.0.0/16",
    "services6": "fd00:7a11:0:96::/112",
}
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
        self._nodes = {node.name: node for node in self._homes.values()}
        self._applied: list[Json] = []
        self._run_workloads()
        self.addresses = self._find_addresses()
        cluster.apply(*map(_namespace, TEAMS), *map(_service, SERVICES))
        self._service_addresses = self._find_services()
        self._judges = {name: Judge(name) for name in self._nodes}
        self._agents = {name: Agent(NodePaths(name)) for name in self._nodes}
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
        for node in self._homes.values():
            for version, text in listed_addresses(node.name).items():
                found[node.name, version] = text
        return found | {("outside", version): text for version, text in OUTSIDE.items()}

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
        for name, node in self._nodes.items():
            wait_until_served(node.spawn_host(*PROBE, "serve", "node"))
            children[name] = node.spawn_host(*PROBE, "ask")
        wait_until_served(self.cluster.spawn_outside(*PROBE, "serve", "outside"))
        children["outside"] = self.cluster.spawn_outside(*PROBE, "ask")
        return Probes(children)

    def _home(self, end: str) -> Mesh:
        """The node of a workload."""
        return self._homes[FULL[end].partition("/")[0]]

    def _ends(self, case: Case) -> tuple[str, str]:
        """Source and target, once a service has been chosen; nodes by their names."""
        ends = [case.source, self._behind(case)[0]]
        home = next((self._home(end) for end in ends if end in FULL), self._homes["shop"])
        source, target = (home.name if end == "node" else end for end in ends)
        return source, target

    def enforce(self, world: World) -> None:
        """Its policies and no others, on every node."""
        names = {
            f"{at}{'' if version == 4 else 6}": text
            for (at, version), text in self.addresses.items()
        }
        wanted = world.objects({**names, **RANGES})
        old, self._applied = self._applied, []
        for verb, objects in (("delete", old), ("apply", [*map(_namespace, TEAMS), *wanted])):
            for agent in self._agents.values():
                _said(agent.post(f"/v1/{verb}", _as_text(objects)))
        self._applied = wanted

    def try_all(self, cases: Sequence[Case]) -> dict[Case, str]:
        """What each client saw, all at once."""
        questions = {
            Question(
                self._ends(case)[0], case.protocol, self._asked_at(case), case.port, case.version
            ): case.wanted
            for case in cases
        }
        answers = self._probes.insist(questions).items()
        by_question = {question: answer.outcome for question, answer in answers}
        return dict(zip(cases, (by_question[question] for question in questions), strict=True))

    def _asked_at(self, case: Case) -> str:
        if case.target in SERVICE_OF:
            return self._service_addresses[case.target, case.version]
        return self.addresses[self._ends(case)[1], case.version]

    def explain(self, case: Case) -> Told:
        """What `tulle explain` says on the nodes of both ends."""
        question = {
            "from": self.addresses[self._ends(case)[0], case.version],
            "to": self._asked_at(case),
            "port": case.port,
            "protocol": case.protocol,
        }
        return _first_denial(self._explained(node, question) for node in self._nodes_of(case))

    def _explained(self, node: str, question: Json) -> Told:
        [told] = self._agents[node].post("/v1/explain", question)["results"]
        if told["verdict"] == "DROPPED":
            return Told("!" if told["reject"] else "-", told["rule"])
        return Told("~", told["audit_rule"]) if told["audit_rule"] else Told("+", told["rule"])

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
        homes = [self._home(end).name if end in FULL else end for end in self._ends(case)]
        return list(dict.fromkeys(home for home in homes if home in self._nodes))

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
        source, target = (self.addresses[end, case.version] for end in self._ends(case))
        return source, target, case.protocol, self._behind(case)[1]

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
        found = [
            flow
            for node in self._nodes.values()
            for flow in node.flows("--last", "1000", "--verdict", verdict)
        ]
        return sorted(found, key=lambda flow: str(flow["time"]))


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


def _as_text(objects: Sequence[Json]) -> bytes:
    return yaml.safe_dump_all(objects).encode()


def _said(answer: Json) -> None:
    assert not answer["errors"], answer["errors"]


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
