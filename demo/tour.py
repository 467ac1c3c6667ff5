"""What the tour shows, chapter by chapter. What it claims, it measures; see Screen.promise.

What takes more than one node is in `nodes`.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
from typing import Any

from bench import figures, nginx, rounds
from bench.load import Client as Wrk
from bench.load import Requests, Target
from bench.pace import ByTime
from bench.scenarios.plain import Plain
from bench.suite import PHASE_S, Cores

from . import shell
from .screen import Screen, columns
from .shell import NODE, NODES, Client, DemoError, ask, client
from .stage import STAGE
from .watch import (
    attempts,
    closed,
    even,
    faultless,
    service,
    spread,
    wait_for_clients,
    wait_for_pods,
)

REQUESTS = 600
REPLICAS = 3
SETTLE_S = 1.0
WITHOUT_AGENT_S = 2.0
LATENCY_S = 4.0
PLAIN = "direct"
SHOP = ("requests", "http://web/", "--kept", "2", "--new", "2", "--pause", "0.01")


def opening(screen: Screen) -> None:
    screen.chapter("The mesh comes up", "A node of the lab, with a shop of real servers on it.")
    screen.run("tulle", "lab", "up", NODE, "--routing", "vxlan")
    screen.command("export", f"TULLE_NODE={NODE}")
    screen.run("tulle", "apply", "-f", str(STAGE / "shop.yaml"))
    wait_for_pods()
    screen.run("tulle", "get", "pods", crop=True)
    screen.say("Any other command becomes a workload too; this one will be the shop's client:")
    line = ("--name", "client", "-l", "app=client", "--", "sleep", "infinity")
    screen.run("tulle", "run", "-d", "-n", "shop", *line)


def balancing(screen: Screen) -> None:
    screen.chapter(
        "Balancing in the kernel",
        f"{REQUESTS} requests to the service api, each over a connection of its own. The kernel"
        " answers connect() with a replica's address: no proxy, and no packet is rewritten.",
    )
    screen.run("tulle", "get", "services", crop=True)
    words = ("requests", "http://api/", "--new", "4", "--limit", str(REQUESTS))
    counts = spread(screen, shell.client_line(words))
    screen.promise(even(counts, REPLICAS), "each of the three replicas has its third")


def policy(screen: Screen) -> None:
    screen.chapter(
        "A policy, under live traffic",
        "The shop serves on while a NetworkPolicy closes its data to all but the API. A client"
        " holds a connection to redis that is open already.",
    )
    with client(*SHOP) as shop, client("talk", "redis", "6379") as talk:
        wait_for_clients(lambda: shop.count("answered") > 50 and talk.count("answered") > 50)
        screen.run("tulle", "apply", "-f", "demo/policy.yaml")
        screen.say(
            "What will happen to the client, asked before it sends a packet to the database:"
        )
        question = ("tulle", "explain", "shop/client", "shop/db", "--port", "5432")
        screen.run(*question, codes=(0, 3))
        screen.say("It tries:")
        words = ("knock", "db", "5432")
        screen.command(*shell.client_line(words))
        with client(*words) as knock:
            screen.watch(lambda: attempts("client → db", knock), lambda: knock.count("sent") < 4)
    denied = ("tulle", "observe", "--to-pod", "shop/db", "--verdict", "DROPPED", "--last", "2")
    allowed = ("tulle", "observe", "--to-pod", "shop/db", "--verdict", "FORWARDED", "--last", "2")
    screen.run(*denied)
    screen.run(*allowed)
    _judge_policy(screen, shop, knock, talk)


def _judge_policy(screen: Screen, shop: Client, knock: Client, talk: Client) -> None:
    told = ask("tulle", "explain", "shop/client", "shop/db", "--port", "5432", codes=(0, 3))
    seen = shell.run(
        "tulle", "observe", "--from-pod", "shop/client", "--to-pod", "shop/db", "--last", "1"
    )
    rule = told["results"][0]["rule"]
    screen.promise(closed(knock), f"{knock.count('sent')} connections to the database, none let in")
    screen.promise(
        talk.count("silent") == 1,
        f"the open connection to redis was cut, after {talk.count('answered')} answers",
    )
    screen.promise(bool(rule) and rule in seen, "explain and observe name the same rule")
    screen.promise(faultless(shop), f"{shop.count('sent')} requests of the shop meanwhile, 0 lost")


def crash(screen: Screen) -> None:
    screen.chapter(
        "The agents die under load",
        "The programs in the kernel need no agent. Those of both nodes are killed while the shop"
        " serves and the client knocks at the database, and come back later.",
    )
    with client(*SHOP) as shop, client("knock", "db", "5432") as knock:
        wait_for_clients(lambda: shop.count("answered") > 50 and knock.count("denied") > 0)
        pids = [int(status["pid"]) for status in _states()]
        screen.command("kill", "-9", *map(str, pids))
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        before, denied = shop.count("answered"), knock.count("denied")
        end = time.monotonic() + WITHOUT_AGENT_S
        screen.watch(lambda: service(shop, knock), lambda: time.monotonic() < end)
        without, refused = shop.count("answered") - before, knock.count("denied") - denied
        screen.run("tulle", "status", codes=(1,))
        screen.say("And back:")
        screen.run("tulle", "lab", "up", *NODES)
        end = time.monotonic() + SETTLE_S
        screen.watch(lambda: service(shop, knock), lambda: time.monotonic() < end)
    _judge_crash(screen, shop, knock)
    screen.promise(without > 0 and refused > 0, f"{without} requests answered without an agent")
    health = sorted({status["health"] for status in _states()})
    screen.promise(
        health == ["ok"], f"the new agents took over; their health is {' and '.join(health)}"
    )


def _judge_crash(screen: Screen, shop: Client, knock: Client) -> None:
    kept, new = shop.count("kept"), shop.count("new")
    screen.promise(
        faultless(shop), f"{kept} requests over kept connections, {new} over new ones, 0 lost"
    )
    screen.promise(closed(knock), f"{knock.count('sent')} connections to the database, none let in")


def _states() -> list[Any]:
    return [ask("tulle", "--node", node, "status") for node in NODES]


def latency(screen: Screen) -> None:
    screen.chapter(
        "What it costs",
        "The same client and the same nginx (1 KB, one kept connection) over plain veth routing"
        f" and through the mesh, in turns for {LATENCY_S:.0f} seconds.",
    )
    usable = sorted(os.sched_getaffinity(0))
    cores = Cores(usable[0], usable[-1])
    screen.run("tulle", "apply", "-f", "demo/latency.yaml")
    server = nginx.command_line(STAGE / "nginx", cores.server)
    line = ("-n", "shop", "--name", "static", "-l", "app=static", "--", *server)
    screen.run("tulle", "run", "-d", *line)
    plain = Plain("demo")
    try:
        target = plain.setup(cores)
        inside = (shell.TULLE, "--node", NODE, "exec", "-n", "shop", "client", "--")
        clients = {
            PLAIN: Wrk(target, cores.client),
            "tulle": Wrk(Target(inside, "static"), cores.client),
        }
        _measure(screen, clients)
    finally:
        plain.teardown()


def _measure(screen: Screen, clients: dict[str, Wrk]) -> None:
    phase = Requests("kept", connections=1, keep_alive=True, seconds=PHASE_S)
    try:
        for wrk in clients.values():
            rounds.warm_up(wrk)
        pace = ByTime(time.monotonic() + LATENCY_S)
        with screen.progress() as show:
            result = rounds.run(
                clients, [phase], PLAIN, pace, lambda done, _: show(pace.part(done))
            )
    finally:
        for wrk in clients.values():
            wrk.close()
    if result.failed:
        raise DemoError("; ".join(result.failed.values()))
    visits, rows = result.visits[phase.name], []
    for title, name in (("p50", "p50_us"), ("p99", "p99_us")):
        plain, tulle = ([getattr(visit[key], name) for visit in visits] for key in clients)
        ratio = figures.Ratio.over([b / a for a, b in zip(plain, tulle, strict=True)])
        medians = (f"{statistics.median(values):.1f} µs" for values in (plain, tulle))
        rows.append((title, *medians, f"{ratio.median:.2f} ± {ratio.error:.2f}"))
    screen.show(columns(("", "no mesh", "Tulle", "ratio"), rows))
    screen.say(f"Medians of {len(visits)} pairs. `./run bench` measures more, and for longer.")
