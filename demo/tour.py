"""What the tour shows, chapter by chapter. What it claims, it measures; see Screen.promise."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable

from rich.table import Table

from bench import figures, nginx, rounds
from bench.load import Client as Wrk
from bench.load import Requests, Target
from bench.pace import ByTime
from bench.scenarios.plain import Plain
from bench.suite import PHASE_S, Cores

from . import shell
from .screen import Screen, columns, shares
from .shell import NODE, Client, DemoError, ask, client
from .stage import STAGE

PODS_TIMEOUT_S = 20.0
REQUESTS = 600
SHARE_TOLERANCE = 0.1  # of all requests; five standard deviations for 600 of them
SETTLE_S = 1.0
WITHOUT_AGENT_S = 3.0
LATENCY_S = 6.0
PLAIN = "direct"
SHOP = ("requests", "http://web/", "--kept", "2", "--new", "2", "--pause", "0.01")


def opening(screen: Screen) -> None:
    screen.chapter("The mesh comes up", "A node of the lab, with a shop of real servers on it.")
    screen.run("tulle", "lab", "up", NODE)
    screen.command("export", f"TULLE_NODE={NODE}")
    screen.run("tulle", "apply", "-f", str(STAGE / "shop.yaml"))
    deadline = time.monotonic() + PODS_TIMEOUT_S
    while not all(pod["ready"] for pod in ask("tulle", "get", "pods")["items"]):
        if time.monotonic() > deadline:
            raise DemoError("the shop does not open:\n" + shell.run("tulle", "get", "pods"))
        time.sleep(0.1)
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
    screen.command(*shell.client_line(words))
    with client(*words) as load:
        screen.watch(lambda: shares(_replicas(load)), lambda: load.running)
    counts = _replicas(load)
    answered, fair = sum(counts.values()), 1 / 3
    screen.promise(load.count("failed") == 0 < answered, f"{answered} requests, all answered")
    even = len(counts) == 3 and all(
        abs(count / answered - fair) < SHARE_TOLERANCE for count in counts.values()
    )
    screen.promise(even, "each of the three replicas has its third")


def _replicas(load: Client) -> dict[str, int]:
    names = [name for name in load.seen if name.startswith("from ")]
    return {name.removeprefix("from "): load.count(name) for name in names}


def policy(screen: Screen) -> None:
    screen.chapter(
        "A policy, under live traffic",
        "The shop serves on while a NetworkPolicy closes its data to all but the API. A client"
        " holds a connection to redis that is open already.",
    )
    with client(*SHOP) as shop, client("talk", "redis", "6379") as talk:
        _wait(lambda: shop.count("answered") > 50 and talk.count("answered") > 50)
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
            screen.watch(lambda: _attempts(knock), lambda: knock.count("sent") < 4)
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
    screen.promise(
        _closed(knock), f"{knock.count('sent')} connections to the database, none let in"
    )
    screen.promise(
        talk.count("silent") == 1,
        f"the open connection to redis was cut, after {talk.count('answered')} answers",
    )
    screen.promise(bool(rule) and rule in seen, "explain and observe name the same rule")
    screen.promise(_faultless(shop), f"{shop.count('sent')} requests of the shop meanwhile, 0 lost")


def crash(screen: Screen) -> None:
    screen.chapter(
        "The agent dies under load",
        "The programs in the kernel need no agent. It is killed while the shop serves and the"
        " client knocks at the database, and comes back later.",
    )
    with client(*SHOP) as shop, client("knock", "db", "5432") as knock:
        _wait(lambda: shop.count("answered") > 50 and knock.count("denied") > 0)
        pid = int(ask("tulle", "status")["pid"])
        screen.command("kill", "-9", str(pid))
        os.kill(pid, signal.SIGKILL)
        before, denied = shop.count("answered"), knock.count("denied")
        end = time.monotonic() + WITHOUT_AGENT_S
        screen.watch(lambda: _service(shop, knock), lambda: time.monotonic() < end)
        without, refused = shop.count("answered") - before, knock.count("denied") - denied
        screen.run("tulle", "status", codes=(1,))
        screen.say("And back:")
        screen.run("tulle", "lab", "up", NODE)
        end = time.monotonic() + SETTLE_S
        screen.watch(lambda: _service(shop, knock), lambda: time.monotonic() < end)
    health = ask("tulle", "status")["health"]
    kept, new = shop.count("kept"), shop.count("new")
    screen.promise(without > 0 and refused > 0, f"{without} requests answered without an agent")
    screen.promise(
        _faultless(shop), f"{kept} requests over kept connections, {new} over new ones, 0 lost"
    )
    screen.promise(
        _closed(knock), f"{knock.count('sent')} connections to the database, none let in"
    )
    screen.promise(health == "ok", f"the new agent took over; its health is {health}")


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


def _attempts(knock: Client) -> Table:
    """What a client that should not get in has seen."""
    row = [str(knock.count(name)) for name in ("sent", "denied", "let in")]
    return columns(("", "tried", "timed out", "let in"), [("client → db", *row)])


def _service(shop: Client, knock: Client) -> Table:
    """What the shop's visitors and the client that should not get in have seen."""
    rows = [
        (
            "requests to the shop",
            *(str(shop.count(name)) for name in ("sent", "answered", "failed")),
        ),
        ("client → db", *(str(knock.count(name)) for name in ("sent", "let in", "denied"))),
    ]
    return columns(("", "sent", "answered", "failed"), rows)


def _faultless(load: Client) -> bool:
    return load.count("answered") == load.count("sent") > 0


def _closed(knock: Client) -> bool:
    return knock.count("denied") == knock.count("sent") > 0


def _wait(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PODS_TIMEOUT_S
    while not true():
        if time.monotonic() > deadline:
            raise DemoError("the clients see nothing happen")
        time.sleep(0.05)
