"""What the tour on Kubernetes shows. What it claims, it measures; see Screen.promise."""

from __future__ import annotations

import json
import time
from typing import Any

from .. import shell
from ..screen import Screen, columns
from ..shell import Client, ask, running
from ..stage import STAGE
from ..watch import attempts, closed, even, faultless, spread, wait, wait_for_clients
from .ground import FIRST, NAME, NODES, Ground

REQUESTS = 600
REPLICAS = 3
DOOR = "192.0.2.10"
IN_CLIENT = ("kubectl", "exec", "-n", "shop", "-i", "client", "--", "/demo/load.py")
_SETTLE_S = 1.0
_ASKED_AGAIN_S = 90.0  # agents ask a server that was away less and less often


def opening(screen: Screen, ground: Ground) -> None:
    screen.chapter(
        "A Kubernetes of its own",
        "etcd, a kube-apiserver and its controllers beside two nodes with containerd and kubelets:"
        " the real programs, in network namespaces. The nodes wait for a network.",
    )
    ground.start_plane()
    ground.start_nodes()
    screen.run("kubectl", "version")
    screen.run("kubectl", "get", "nodes")
    screen.say("An agent on each takes their objects from the API server, and is their network:")
    screen.run(*ground.agents_line)
    for node in ground.nodes.values():
        node.install_plugin()
    for node in ground.nodes.values():
        node.wait_ready()
    screen.run("kubectl", "get", "nodes", "-o", "wide", crop=True)
    nodes = _items("nodes")
    screen.promise(all(map(_is_ready, nodes)), f"{len(nodes)} nodes are Ready")


def shop(screen: Screen, ground: Ground) -> None:
    screen.chapter(
        "The shop, by kubectl",
        f"kubelets start its pods, and give each its network by Tulle's CNI plugin. {REQUESTS}"
        " requests to the service api then, which no kube-proxy serves.",
    )
    screen.run("kubectl", "create", "namespace", "shop")
    shell.run("kubectl", "wait", "-n", "shop", "--for=create", "serviceaccount/default")
    screen.run("kubectl", "apply", "-f", str(STAGE / "shop.yaml"))
    ready = ("--for=condition=Available", "deployment", "--all", "--timeout=120s")
    screen.run("kubectl", "wait", "-n", "shop", *ready)
    ready = ("--for=condition=Ready", "pod/client", "--timeout=60s")
    screen.run("kubectl", "wait", "-n", "shop", *ready)
    screen.run("kubectl", "get", "pods", "-n", "shop", "-o", "wide", crop=True)
    screen.run("tulle", "--node", FIRST, "get", "services", crop=True)
    counts = spread(
        screen, (*IN_CLIENT, "requests", "http://api/", "--new", "4", "--limit", str(REQUESTS))
    )
    screen.promise(even(counts, REPLICAS), "each of the three replicas has its third")
    where = {pod["spec"]["nodeName"] for pod in _items("pods", "-l", "app=api")}
    screen.promise(where == set(NODES), f"they run on {' and '.join(sorted(where))}")


def policy(screen: Screen, ground: Ground) -> None:
    screen.chapter(
        "Policies, and what became of them",
        "A NetworkPolicy closes the database to all but the API; a CiliumNetworkPolicy lets the"
        " shop's front be read only. A third one is wrong.",
    )
    screen.run("kubectl", "apply", "-f", "demo/kubernetes/policy.yaml")
    screen.say("What will happen to the client, asked before it sends a packet to the database:")
    client = _node_of("client")
    question = ("tulle", "--node", client, "explain", "shop/client", "shop/db", "--port", "5432")
    screen.run(*question, codes=(0, 3))
    knocking = (*IN_CLIENT, "knock", "db", "5432")
    screen.command(*knocking)
    with running(knocking) as knock:
        screen.watch(lambda: attempts("client → db", knock), lambda: knock.count("sent") < 4)
    screen.promise(closed(knock), f"{knock.count('sent')} connections to the database, none let in")
    dropped = ("tulle", "--node", _node_of("db"), "observe", "--from-pod", "shop/client")
    dropped = (*dropped, "--verdict", "DROPPED", "--last", "2")
    time.sleep(_SETTLE_S)
    screen.run(*dropped)
    rule = "default deny by NetworkPolicy shop/db-from-api"
    screen.promise(rule in shell.run(*dropped), "the flows name the rule")
    wait(
        lambda: _said("ciliumnetworkpolicies", "misspelt", "Valid") != "",
        lambda: "no status of the policies",
    )
    screen.run("kubectl", "get", "ciliumnetworkpolicies", "-n", "shop", "-o", _columns("Valid"))
    said = [
        _said("ciliumnetworkpolicies", name, "Valid") for name in ("web-is-read-only", "misspelt")
    ]
    screen.promise(said == ["True", "False"], "each policy's status says whether it is in force")


def gateway(screen: Screen, ground: Ground) -> None:
    screen.chapter(
        "A gateway", f"It takes HTTP at {DOOR} for the shop's front; its status says that it does."
    )
    screen.run("kubectl", "apply", "-f", "demo/kubernetes/door.yaml")
    ready = ("--for=condition=Programmed", "gateway/door", "--timeout=60s")
    screen.run("kubectl", "wait", "-n", "shop", *ready)
    screen.run("kubectl", "get", "gateway", "-n", "shop", "-o", _columns("Programmed"))
    door = json.loads(shell.run("kubectl", "get", "gateway", "door", "-n", "shop", "-o", "json"))
    addresses = [item["value"] for item in door["status"].get("addresses", ())]
    screen.promise(addresses == [DOOR], f"the Gateway's status has its address {DOOR}")
    route = _items("httproute")[0]["status"]["parents"][0]["conditions"]
    accepted = {item["type"]: item["status"] for item in route}
    screen.promise(accepted.get("Accepted") == "True", "the route's says that it was accepted")
    underlay = str(ground.lab.members()[FIRST].addresses[0])
    outside = ("tulle", "lab", "outside", "--cluster", NAME, "--")
    screen.run(*outside, "ip", "route", "replace", f"{DOOR}/32", "via", underlay)
    curl = (*outside, "curl", "-s", "-w", "\\n%{http_code}\\n", f"http://{DOOR}/")
    screen.run(*curl)
    screen.promise("replica" in shell.run(*curl), "a host outside of the mesh has an answer")
    posted = shell.run(*curl, "-X", "POST")
    screen.promise("403" in posted, "POST is answered 403, by the CiliumNetworkPolicy")


def without_server(screen: Screen, ground: Ground) -> None:
    screen.chapter(
        "The API server dies",
        "It is killed while a host outside asks the shop without an end. Nobody needs it for what"
        " is in force; status tells how old that is.",
    )
    line = ("tulle", "lab", "outside", "--cluster", NAME, "--", "demo/load.py", "requests")
    line = (*line, f"http://{DOOR}/", "--kept", "1", "--new", "2", "--pause", "0.02")
    screen.command(*line)
    with running(line) as load:
        wait_for_clients(lambda: load.count("answered") > 50)
        ground.plane.kill_api()
        screen.say("Killed:")
        before = load.count("answered")
        screen.watch(lambda: _requests(load), lambda: not _problems())
        without = load.count("answered") - before
        told = _problems()[0]
        screen.output(told)
        screen.say("And back, with one more replica of the API asked for:")
        ground.plane.start_api()
        screen.run("kubectl", "scale", "deployment/api", "-n", "shop", "--replicas=4")
        screen.run("kubectl", "rollout", "status", "deployment/api", "-n", "shop", "--timeout=120s")
        wait(lambda: not _problems(), lambda: "; ".join(_problems()), _ASKED_AGAIN_S)
        words = ("requests", "http://api/", "--new", "4", "--limit", str(REQUESTS))
        counts = spread(screen, (*IN_CLIENT, *words))
    screen.promise(without > 0, f"{without} requests answered without an API server")
    screen.promise("API server" in told, "status told that it was away, and since when")
    screen.promise(even(counts, REPLICAS + 1), "the new replica has its quarter")
    screen.promise(faultless(load), f"{load.count('sent')} requests from outside, 0 lost")


def closing(screen: Screen, ground: Ground) -> None:
    screen.chapter("The shop closes", "kubelets end its pods, and the plugin takes them out.")
    screen.run("kubectl", "delete", "namespace", "shop", "--wait=false")
    wait(lambda: not _in_mesh(), lambda: f"still in the mesh: {', '.join(_in_mesh())}")
    screen.promise(not _in_mesh(), "no pod is left in the mesh")


TOUR = (opening, shop, policy, gateway, without_server, closing)


def _columns(condition: str) -> str:
    of = f'.status.conditions[?(@.type=="{condition}")]'
    return f"custom-columns=NAME:.metadata.name,{condition.upper()}:{of}.status,WHY:{of}.message"


def _in_mesh() -> list[str]:
    """Pods that have their network from an agent."""
    found = [ask("tulle", "--node", name, "get", "endpoints")["items"] for name in NODES]
    return [str(item) for items in found for item in items]


def _requests(load: Client) -> Any:
    row = [str(load.count(name)) for name in ("sent", "answered", "failed")]
    return columns(("", "sent", "answered", "failed"), [("outside → shop", *row)])


def _problems() -> list[str]:
    """What of the API server a node's agent tells."""
    status = ask("tulle", "--node", FIRST, "status", codes=(0, 1))
    return [str(item) for item in status["problems"] if "API server" in str(item)]


def _items(kind: str, *words: str) -> list[Any]:
    found = json.loads(shell.run("kubectl", "get", kind, "-n", "shop", "-o", "json", *words))
    return list(found["items"])


def _node_of(app: str) -> str:
    return str(_items("pods", "-l", f"app={app}")[0]["spec"]["nodeName"])


def _said(kind: str, name: str, condition: str) -> str:
    """The status of a condition; "" if there is none yet."""
    status = next(item for item in _items(kind) if item["metadata"]["name"] == name).get("status")
    conditions = (status or {}).get("conditions", ())
    return next((str(item["status"]) for item in conditions if item["type"] == condition), "")


def _is_ready(node: Any) -> bool:
    conditions = {item["type"]: item["status"] for item in node["status"]["conditions"]}
    return conditions.get("Ready") == "True"
