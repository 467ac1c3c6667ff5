"""What the tour shows, chapter by chapter. What it claims, it measures; see Screen.promise.

What takes more than one node is in `nodes`.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bench import figures, nginx, rounds
from bench.load import Client as Wrk
from bench.load import Requests, Target
from bench.pace import ByTime
from bench.scenarios.plain import Plain
from bench.suite import Cores

from . import shell
from .screen import Screen, columns
from .shell import NODE, NODES, Client, DemoError, ask, client
from .stage import SERVERS, STAGE
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
LATENCY_S = 8.0
VISIT_S = 0.4  # an Envoy on a busy machine has to answer in it
PLAIN = "direct"
SHOP = ("requests", "http://web/", "--kept", "2", "--new", "2", "--pause", "0.01")


def opening(screen: Screen) -> None:
    screen.chapter("The mesh comes up", "A node of the lab, with a shop of real servers on it.")
    screen.run("tulle", "lab", "up", NODE, "--routing", "vxlan", "--stream")
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
        "The same client and the same nginx (1 KB, one kept connection) over plain veth routing,"
        " through the mesh, under a rule of HTTP that the kernel judges by, and under one that"
        f" takes an Envoy; in turns for {LATENCY_S:.0f} seconds.",
    )
    usable = sorted(os.sched_getaffinity(0))
    cores = Cores(usable[0], usable[-1])
    screen.run("tulle", "apply", "-f", "demo/latency.yaml")
    for name, directory in SERVERS.items():
        server = nginx.command_line(directory, cores.server)
        line = ("-n", "shop", "--name", name, "-l", f"app={name}", "--", *server)
        screen.run("tulle", "run", "-d", *line)
    plain = Plain("demo")
    try:
        target = plain.setup(cores)
        inside = (shell.TULLE, "--node", NODE, "exec", "-n", "shop", "client", "--")
        for name in SERVERS:
            _await(f"http://{name}/")
        clients = {PLAIN: Wrk(target, cores.client)}
        clients |= {name: Wrk(Target(inside, name), cores.client) for name in SERVERS}
        _measure(screen, clients)
    finally:
        plain.teardown()


def _await(url: str) -> None:
    """Until it answers: a server was just started."""
    ask_it = ("curl", "-s", "-o", "/dev/null", "--retry", "20", "--retry-delay", "1")
    inside = ("tulle", "exec", "-n", "shop", "client", "--")
    shell.run(*inside, *ask_it, "--retry-all-errors", "--fail", "-m", "2", url)


def _measure(screen: Screen, clients: dict[str, Wrk]) -> None:
    phase = Requests("kept", connections=1, keep_alive=True, seconds=VISIT_S)
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
    visits = result.visits[phase.name]
    ratios = {name: _ratio(visits, name, "p50_us") for name in SERVERS}
    rows = [(title, *_row(visits, name)) for title, name in (("p50", "p50_us"), ("p99", "p99_us"))]
    told = (f"{ratio.median:.2f} ± {ratio.error:.2f}" for ratio in ratios.values())
    rows.append(("p50, ratio", "1", *told))
    screen.show(columns(("", "no mesh", "Tulle", "HTTP in the kernel", "HTTP in Envoy"), rows))
    screen.say(f"Medians of {len(visits)} rounds. `./run bench` measures more, and for longer.")
    screen.promise(
        ratios["judged"].median < ratios["proxied"].median,
        "the kernel takes less time over requests than an Envoy",
    )


def _row(visits: Sequence[Mapping[str, Any]], figure: str) -> list[str]:
    return [
        f"{statistics.median(getattr(visit[name], figure) for visit in visits):.1f} µs"
        for name in (PLAIN, *SERVERS)
    ]


def _ratio(visits: Sequence[Mapping[str, Any]], name: str, figure: str) -> figures.Ratio:
    return figures.Ratio.over(
        [getattr(visit[name], figure) / getattr(visit[PLAIN], figure) for visit in visits]
    )
