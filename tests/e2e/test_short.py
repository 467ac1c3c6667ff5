"""TCP between workloads of a node, from socket to socket: every byte, in order, bounded."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from bench import nginx
from tests.e2e.conftest import Clusters
from tests.e2e.mesh import Cluster, Json, admit, tulle, wait_for
from tests.e2e.reading import reading
from tulle.abi import ABI_HASH, ShortLimit
from tulle.edges.bpf.datapath import switch_off

WORDS = (sys.executable, str(Path(__file__).with_name("ledger.py")))
CROWD = (sys.executable, str(Path(__file__).with_name("crowd.py")))
PORT = "8080"
BYTES = int(os.environ.get("TULLE_SHORT_BYTES", "60000000"))  # to be short-circuited
SEED = int(os.environ.get("TULLE_SHORT_SEED", "1"))
TURN = 8000  # bytes each way of one line of `ledger.py ask`, and of every beginning


class Field:
    """A client, and servers by their names."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.mesh = cluster, cluster["a"]
        self.addresses: dict[str, dict[int, str]] = {}
        self.pids: dict[str, int] = {}
        self.mesh.run("client", "sleep", "inf")

    def serve(self, name: str, *labels: str, program: tuple[str, ...] = WORDS) -> None:
        options = [word for label in (f"app={name}", *labels) for word in ("-l", label)]
        run = ("run", "-d", "-n", "shop", "--name", name, *options, "--")
        said = self.mesh.tulle(*run, *program, "serve", PORT)
        four, six = said.splitlines()[0].partition(" runs at ")[2].split(", ")
        self.pids[name] = int(said.splitlines()[1].removeprefix("pid ").partition(",")[0])
        self.addresses[name] = {4: four, 6: six}
        listening = ("ss", "-Hltn", f"sport = :{PORT}")
        wait_for(lambda: self.mesh.exec(name, *listening).strip() != "")

    def send(self, verb: str, to: str, *numbers: int, family: int = 4) -> list[Json]:
        words = (*WORDS, verb, self.addresses[to][family], PORT, *map(str, numbers))
        return told(self.mesh.spawn("client", *words).communicate(timeout=3600)[0])

    def asking(self, to: str, of: str = "client") -> Popen[str]:
        return self.mesh.spawn(of, *WORDS, "ask", self.addresses[to][4], PORT)

    def counted(self, reason: str = "SHORT") -> Json:
        return self.mesh.status()["packets"].get(reason, {"packets": 0, "bytes": 0})

    def status(self) -> Json:
        return self.mesh.status()["short_circuit"]

    def got(self, name: str) -> list[Json]:
        return told(Path(f"/run/tulle/{self.mesh.name}/logs/shop_{name}.log").read_text())


def told(text: str) -> list[Json]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def ask(asking: Popen[str]) -> Json:
    assert asking.stdin and asking.stdout
    asking.stdin.write("\n")
    asking.stdin.flush()
    return json.loads(asking.stdout.readline())


@pytest.fixture(scope="module")
def field(clusters: Clusters) -> Iterator[Field]:
    with clusters("short", ("a",), "--short-circuit", "--stream") as cluster:
        made = Field(cluster)
        made.serve("web")
        made.serve("plain", "tulle.io/short-circuit=false")
        yield made


@pytest.mark.parametrize("family", [4, 6])
def test_every_byte_arrives_once_and_in_order(field: Field, family: int) -> None:
    """Random sizes, half-closes, readers that stop, resets and kills, after trade in turns.

    TULLE_SHORT_BYTES=10000000000 with a seed of the day is the nightly run.
    """
    count = max(49, BYTES // 40_000_000)
    traded = BYTES // (count * 5 // 7) // 4  # of those that end well, of both families, each way
    first = SEED % 20_000 * 100_000 + family * 10_000
    seeds = range(first, first + count)
    before = field.counted()
    sent = field.send("send", "web", count, 1_000_000, first, traded, family=family)
    wait_for(lambda: len({item["seed"] for item in field.got("web")} & set(seeds)) == count)
    got = {item["seed"]: item for item in field.got("web")}
    assert [item for item in (*sent, *got.values()) if item["wrong"] >= 0] == []
    whole = [item for item in sent if item["style"] not in ("kill", "reset")]
    assert len(whole) >= count * 5 // 7
    for item in whole:
        other = got[item["seed"]]
        assert (item["end"], other["end"]) == ("eof", "eof"), (item, other)
        assert (item["got"], other["got"]) == (other["sent"], item["sent"])
    after = field.counted()
    short = after["bytes"] - before["bytes"]
    written = sum(item["sent"] for item in (*sent, *(got[seed] for seed in seeds)))
    ledger = {"connections": count, "written": written, "short": short}
    print(json.dumps(ledger | {"ended": field.status()["ended"]}))
    # nearly all of the trade, and each message once, so that none goes round
    assert 0.95 * 2 * traded * len(whole) < short < written
    assert field.counted("BEHIND")["packets"] > 0


@pytest.mark.parametrize(("size", "total"), [(1, 2000), (4096, 200_000)])
def test_a_reader_that_stops_is_sent_no_more_than_the_bound_and_woken(
    field: Field, size: int, total: int
) -> None:
    before = field.counted()
    (item,) = field.send("stall", "web", size, total, 2)
    after = field.counted()
    (other,) = (
        found for found in field.got("web") if (found["style"], found["seed"]) == ("stall", size)
    )
    assert item["got"] == other["sent"] == TURN + 2000
    assert item["sent"] == other["got"] == TURN + total
    assert (item["wrong"], other["wrong"], other["end"]) == (-1, -1, "eof")
    pieces, carried = (after[key] - before[key] for key in ("packets", "bytes"))
    filled = ShortLimit.PIECES_MAX * size if size == 1 else ShortLimit.BYTES_MAX
    turns = 2 * TURN + 2000
    assert filled <= carried <= filled + turns
    assert pieces <= ShortLimit.PIECES_MAX + turns // 2000


@pytest.mark.parametrize("to", ["web", "plain"])
def test_what_is_closed_unread_is_a_reset_as_of_tcp(field: Field, to: str) -> None:
    before = field.counted()["packets"]
    (item,) = field.send("leave", to)
    assert item["end"] == "ConnectionResetError"
    assert (field.counted()["packets"] > before) == (to == "web")


def test_who_asks_not_to_be_is_not(field: Field) -> None:
    before = field.counted()
    asking = field.asking("plain")
    assert ask(asking)["got"] == TURN and ask(asking)["got"] == 2 * TURN
    assert field.counted() == before


@pytest.mark.parametrize(("of", "short"), [("client", 1), ("web", 0)])
def test_a_message_goes_past_the_interface_once(field: Field, of: str, short: int) -> None:
    """Also where both ends are in one workload, the server's: there by TCP."""
    asking = field.asking("web", of)
    ask(asking)
    before = field.counted()
    assert ask(asking)["got"] == 2 * TURN
    after = field.counted()
    went = {key: after[key] - before[key] for key in after}
    assert went == {"packets": short * 2 * TURN // 2000, "bytes": short * 2 * TURN}
    asking.kill()


def test_who_claims_anothers_address_gets_nothing_in(field: Field) -> None:
    field.mesh.run("stranger", "sleep", "inf")
    asking = field.asking("web")
    port = ask(asking)["port"]
    (client,) = field.mesh.exec("client", "hostname", "-I").split()[:1]
    field.mesh.exec("stranger", "ip", "address", "add", f"{client}/32", "dev", "eth0")
    before, dropped = field.counted(), field.counted("SPOOFED_SOURCE")["packets"]
    words = (*WORDS, "forge", field.addresses["web"][4], PORT, client, str(port))
    (forged,) = told(field.mesh.exec("stranger", *words))
    assert forged["sent"] == 2000
    assert field.counted("SPOOFED_SOURCE")["packets"] - dropped > ShortLimit.FIRST
    assert field.counted() == before
    own = ask(asking)
    assert (own["got"], own["wrong"]) == (2 * TURN, -1)
    assert field.counted()["bytes"] - before["bytes"] == 2 * TURN
    asking.kill()


def test_ten_thousand_connections_at_once(field: Field) -> None:
    """Some are forgotten for others, whose places the kernel takes from anybody, and go by TCP."""
    count = 10_000
    field.serve("crowd", program=CROWD)
    before = field.status()["connections"]
    words = (*CROWD, "ask", field.addresses["crowd"][4], PORT, str(count))
    crowd = field.mesh.spawn("client", *words)
    assert crowd.stdout and crowd.stdout.readline() == "6\n"
    assert field.status()["connections"] - before > 0.95 * count
    crowd.kill()


def test_requests_that_are_judged_stay_where_they_are(field: Field, tmp_path: Path) -> None:
    """Where no packet is, nobody would judge."""
    field.mesh.run("nginx", *nginx.command_line(tmp_path, 0))
    address = field.mesh.exec("nginx", "hostname", "-I").split()[0]
    wait_for(lambda: field.mesh.exec("nginx", "ss", "-Hltn", "sport = :80").strip() != "")

    def ask_for(path: str) -> str:
        words = ("wrk", "-t1", "-c4", "-d1", f"http://{address}/{path}")
        return field.mesh.exec("client", *words)

    before = field.counted()["packets"]
    assert "Non-2xx" not in ask_for("ok")
    assert field.counted()["packets"] - before > 100
    rule = reading("nginx", "nginx", [{"method": "GET", "path": "/ok"}])
    rule["spec"]["ingress"][0]["toPorts"][0]["ports"][0]["port"] = str(nginx.PORT)
    field.mesh.apply(rule)
    before = field.counted()
    assert "Non-2xx" not in ask_for("ok")
    assert "Non-2xx" in ask_for("no")
    assert field.counted() == before
    field.mesh.delete(rule)


def test_a_changed_policy_reaches_connections_that_stand(field: Field) -> None:
    asking = field.asking("web")
    ask(asking)
    before = field.counted()["bytes"]
    field.mesh.apply(admit("web", "web", "client"))  # it goes on, judged anew
    assert ask(asking)["got"] == 2 * TURN
    assert field.counted()["bytes"] - before == 2 * TURN
    assert field.status()["connections"] == 1  # all others have ended
    denied = field.counted("POLICY_DENIED")["packets"]
    field.mesh.apply(admit("web", "web", "stranger"))
    assert asking.stdin
    asking.stdin.write("\n")
    asking.stdin.flush()
    wait_for(lambda: field.counted("POLICY_DENIED")["packets"] > denied)
    assert field.counted()["bytes"] - before == 2 * TURN
    assert field.status()["ended"]["policy"] > 0
    asking.kill()
    field.mesh.delete(admit("web", "web"))


def test_it_goes_on_without_an_agent_and_with_a_new_one(field: Field) -> None:
    asking = field.asking("web")
    ask(asking)
    before = field.counted()["bytes"]
    field.mesh.kill_agent()
    assert ask(asking)["got"] == 2 * TURN
    field.cluster.start("a")
    assert ask(asking)["got"] == 3 * TURN
    assert field.counted()["bytes"] - before == 4 * TURN


@pytest.mark.parametrize("how", ["another layout", "without the option"])
def test_who_reads_late_is_woken_though_it_is_taken_away(field: Field, how: str) -> None:
    """Bytes wait in the queue of a reader on edges, others come by TCP, and programs change."""
    before = field.counted()["bytes"]
    words = (*WORDS, "stall", field.addresses["web"][4], PORT, "4096", "400000", "90")
    # where the kernel has it (6.15): what is held comes again every second, and is not given up
    sooner = "sysctl -w net.ipv4.tcp_retries2=250 net.ipv4.tcp_rto_max_ms=1000 || true"
    field.mesh.exec("client", "sh", "-c", sooner)
    sent = field.mesh.spawn("client", *words)
    wait_for(lambda: field.counted()["bytes"] - before > ShortLimit.BYTES_MAX)
    field.mesh.kill_agent()
    if how == "another layout":
        pins = Path(f"/sys/fs/bpf/tulle/{field.mesh.name}")
        (pins / f"v{ABI_HASH}").rename(pins / "v0000000000000000")
        field.cluster.start("a")
    else:
        tulle("lab", "up", field.mesh.name, "--cluster", field.cluster.name)
    held = field.counted("BEHIND")["packets"]
    wait_for(lambda: field.counted("BEHIND")["packets"] > held, 60)
    os.kill(field.pids["web"], signal.SIGUSR1)
    (item,) = told(sent.communicate(timeout=120)[0])
    assert (item["got"], item["sent"], item["wrong"]) == (TURN + 2000, TURN + 400_000, -1), item
    if how == "without the option":
        field.mesh.kill_agent()
        field.cluster.start("a")


def test_what_outlives_its_version_is_off(field: Field) -> None:
    asking = field.asking("web")
    ask(asking)
    before = field.counted()["bytes"]
    switch_off(Path(f"/sys/fs/bpf/tulle/{field.mesh.name}/v{ABI_HASH}"))
    assert ask(asking)["got"] == 2 * TURN
    assert field.counted()["bytes"] == before
    assert field.status()["ended"]["off"] == 2
