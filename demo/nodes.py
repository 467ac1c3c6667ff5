"""The chapters of the tour in which there are two nodes, and a world outside of them."""

from __future__ import annotations

import time

from . import shell
from .screen import Screen
from .shell import NODE, SECOND, ask, client, running
from .stage import STAGE
from .watch import attempts, closed, even, faultless, spread, wait_for_clients, wait_for_pods

REQUESTS = 600
FROM_OUTSIDE = 100
OUTSIDE = "192.168.96.1"  # the host beside the lab's nodes
NODE_PORT = 30080
HIDDEN_S = 0.2  # the agent reads what the kernel saw 20 times a second
REPLICAS = 4


def second(screen: Screen) -> None:
    screen.chapter(
        "A second node joins",
        "It knows what all nodes know, and nothing else had to be told of it. One more replica of"
        " the API runs there, and finds its database through an overlay (VXLAN).",
    )
    screen.run("tulle", "lab", "up", SECOND, "--cluster", NODE)
    screen.run("tulle", "apply", "-f", str(STAGE / "second.yaml"))
    wait_for_pods()
    screen.run("tulle", "get", "nodes", crop=True)
    words = ("requests", "http://api/", "--new", "4", "--limit", str(REQUESTS))
    counts = spread(screen, shell.client_line(words))
    screen.promise(even(counts, REPLICAS), "the replica on the other node has its quarter too")
    screen.run("tulle", "explain", "shop/api-4", "shop/db", "--port", "5432")


def outside(screen: Screen) -> None:
    address = next(
        node["underlay"] for node in ask("tulle", "get", "nodes")["items"] if node["name"] == SECOND
    )
    screen.chapter(
        "From the outside",
        f"A host that is not in the mesh asks port {NODE_PORT} of {SECOND}, a NodePort. The shop's"
        f" front does not run there: the packets are translated and go on to {NODE}.",
    )
    url = f"http://{address}:{NODE_PORT}/"
    words = ("requests", url, "--new", "2", "--limit", str(FROM_OUTSIDE))
    counts = spread(screen, shell.outside_line(words))
    screen.promise(
        len(counts) == REPLICAS, f"{SECOND} answered from outside, by replicas of both nodes"
    )
    screen.run("tulle", "--node", SECOND, "explain", OUTSIDE, "shop/web", "--port", "80")


def denial(screen: Screen) -> None:
    screen.chapter(
        "Denied by name, and only watched",
        "A CiliumNetworkPolicy keeps guests out of the API. A NetworkPolicy on trial, in audit"
        " mode, would admit the shop's front alone, but decides nothing yet. The guest is on the"
        " other node; the client goes on to ask the API.",
    )
    knocking = shell.guest_line(("knock", "api", "80"))
    with client("requests", "http://api/", "--new", "1", "--pause", "0.01") as load:
        screen.run("tulle", "apply", "-f", "demo/guests.yaml")
        screen.command(*knocking)
        with running(knocking) as knock:
            screen.watch(lambda: attempts("guest → api", knock), lambda: knock.count("sent") < 8)
        before = load.count("sent")
        wait_for_clients(lambda: load.count("sent") > before)
    time.sleep(HIDDEN_S)
    screen.run("tulle", *_DROPPED)
    screen.run("tulle", *_AUDITED)
    screen.run("tulle", *_QUESTION)
    screen.promise(
        closed(knock) and "refused" in knock.seen["error"],
        f"{knock.count('sent')} knocks of the guest, all refused at once",
    )
    screen.promise(
        "CiliumNetworkPolicy shop/api-not-for-guests ingressDeny[0]"
        in shell.run("tulle", *_DROPPED),
        "the drops name their rule",
    )
    _judge_audit(screen)
    screen.promise(faultless(load), f"{load.count('sent')} requests of the client, 0 lost")


_DROPPED = ("observe", "--from-pod", "shop/guest", "--verdict", "DROPPED", "--last", "2")
_AUDITED = ("observe", "--from-pod", "shop/client", "--verdict", "AUDIT", "--last", "1")
_QUESTION = ("explain", "shop/client", "shop/api-4", "--port", "8000")


def _judge_audit(screen: Screen) -> None:
    """What the policy on trial would deny is seen, foretold, and let through."""
    told = ask("tulle", *_QUESTION)["results"][0]
    rule = told["audit_rule"]
    screen.promise(
        bool(rule) and told["verdict"] == "FORWARDED" and rule in shell.run("tulle", *_AUDITED),
        "the policy on trial shows what it would deny, and explain names the same rule",
    )
