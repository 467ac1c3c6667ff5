"""Connections as transcripts: a packet a line, and the verdict that it gets.

A line is `[SECONDS] FROM > TO WHAT REASON`. Ends are NAMES with a port; WHAT is TCP's flags, `udp`,
`ping`, `pong`, or `error`, an ICMP error about the connection; `via X` has the packet come by
another workload's interface; `policy P` changes the policies to P of POLICIES.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.datapath.frames import ACK, ECHO, FIN, ICMP, RST, SYN, TCP, UDP
from tests.datapath.kernel import Kernel, flow, kernel_of
from tests.unit.compile.objects import workload, world_of
from tulle import abi
from tulle.abi import Hook, Reason
from tulle.model.world import World

NAMES = {
    "a": "10.0.0.1",
    "b": "10.0.0.2",
    "c": "10.0.0.3",
    "world": "192.0.2.7",
    "service": "10.96.0.1",
}
INTERFACES = {"a": 1, "b": 2, "c": 3}
SERVICE = """
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1], ports: [{port: 80}], selector: {app: b}}
"""


def admit(app: str, peers: str) -> str:
    spec = f"podSelector: {{matchLabels: {{app: {app}}}}}, policyTypes: [Ingress], ingress: {peers}"
    return f"---\nkind: NetworkPolicy\nmetadata: {{name: {app}}}\nspec: {{{spec}}}\n"


FROM_A = "[{from: [{podSelector: {matchLabels: {app: a}}}]}]"
POLICIES = {
    "none": "",
    "a-to-b": admit("b", FROM_A) + admit("a", "[]"),  # nobody else to b, nobody to a
    "b-closed": admit("b", "[]"),
    "closed": admit("b", "[]") + admit("a", "[]"),
}
OPENED = """
    a:40000 > b:80 S ALLOWED
    b:80 > a:40000 SA ESTABLISHED
    a:40000 > b:80 A ESTABLISHED
"""
TRANSCRIPTS = {
    "handshake, with the SYN and its answer sent twice": """
        policy a-to-b
        a:40000 > b:80 S ALLOWED
        a:40000 > b:80 S ESTABLISHED
        b:80 > a:40000 SA ESTABLISHED
        b:80 > a:40000 SA ESTABLISHED
        a:40000 > b:80 A ESTABLISHED
    """,
    "others are judged for themselves": f"""
        policy a-to-b
        {OPENED}
        c:40000 > b:80 S POLICY_DENIED
        c:40000 > b:80 A POLICY_DENIED
        a:40001 > b:80 S ALLOWED
        world:40000 > b:80 S POLICY_DENIED
    """,
    "the responder's own SYN on the tuple is a connection of its own": f"""
        policy a-to-b
        {OPENED}
        b:80 > a:40000 S POLICY_DENIED
        b:80 > a:40000 A ESTABLISHED
    """,
    "the responder may open one if policy lets it": f"""
        {OPENED}
        b:80 > a:40000 S ALLOWED
        a:40000 > b:80 SA ESTABLISHED
        a:40000 > b:80 S ALLOWED
    """,
    "closed by both, opened again by the initiator": f"""
        policy a-to-b
        {OPENED}
        a:40000 > b:80 FA ESTABLISHED
        b:80 > a:40000 FA ESTABLISHED
        a:40000 > b:80 A ESTABLISHED
        a:40000 > b:80 S ALLOWED
        b:80 > a:40000 SA ESTABLISHED
    """,
    "closed by both, not for the responder to open": f"""
        policy a-to-b
        {OPENED}
        a:40000 > b:80 FA ESTABLISHED
        b:80 > a:40000 FA ESTABLISHED
        b:80 > a:40000 S POLICY_DENIED
    """,
    "half closed is open": f"""
        policy a-to-b
        {OPENED}
        a:40000 > b:80 FA ESTABLISHED
        3600 b:80 > a:40000 A ESTABLISHED
        7200 a:40000 > b:80 S ESTABLISHED
    """,
    "reset, then reused by the initiator": f"""
        policy a-to-b
        {OPENED}
        b:80 > a:40000 RA ESTABLISHED
        a:40000 > b:80 S ALLOWED
    """,
    "reset, then judged anew after 10 seconds": f"""
        policy a-to-b
        {OPENED}
        a:40000 > b:80 R ESTABLISHED
        9 b:80 > a:40000 A ESTABLISHED
        20 b:80 > a:40000 S POLICY_DENIED
        20 c:80 > a:40000 S POLICY_DENIED
    """,
    "a lone RST opens nothing": """
        a:40000 > b:80 R ALLOWED
        a:40000 > b:80 R ALLOWED
        policy a-to-b
        b:40000 > a:80 R POLICY_DENIED
    """,
    "an unanswered SYN is forgotten after a minute, a connection after a day": f"""
        a:40001 > b:80 S ALLOWED
        59 a:40001 > b:80 S ESTABLISHED
        120 a:40001 > b:80 S ALLOWED
        {OPENED}
        86400 b:80 > a:40000 A ESTABLISHED
        172801 b:80 > a:40000 A ALLOWED
    """,
    "mid-stream: allowed only if either end might have opened it": """
        policy a-to-b
        a:40000 > b:80 A POLICY_DENIED
        b:80 > a:40000 A POLICY_DENIED
        policy none
        a:40000 > b:80 A ALLOWED
        b:80 > a:40000 A ESTABLISHED
        a:40001 > b:80 A ALLOWED
    """,
    "mid-stream, of what policy denies": """
        policy a-to-b
        b:40000 > a:80 A POLICY_DENIED
        a:80 > b:40000 A POLICY_DENIED
        c:40000 > b:80 A POLICY_DENIED
        b:80 > c:40000 A POLICY_DENIED
    """,
    "mid-stream, then policy lets only one end open it": """
        a:79 > b:80 A ALLOWED
        b:80 > a:79 A ESTABLISHED
        a:40000 > b:80 A ALLOWED
        policy b-closed
        a:79 > b:80 A POLICY_DENIED
        b:80 > a:79 A POLICY_DENIED
        a:40000 > b:80 A POLICY_DENIED
        policy none
        a:79 > b:80 A ESTABLISHED
    """,
    "SYN+ACK answers a SYN, or it is nothing": """
        b:50000 > a:80 SA UNSOLICITED_REPLY
        policy a-to-b
        b:80 > a:40000 SA UNSOLICITED_REPLY
    """,
    "a low source port does not make an answer": """
        policy b-closed
        a:79 > b:80 A POLICY_DENIED
        a:78 > b:80 SA UNSOLICITED_REPLY
    """,
    "cut after a reset, it stays cut": """
        a:1000 > b:50000 S ALLOWED
        b:50000 > a:1000 SA ESTABLISHED
        a:1000 > b:50000 R ESTABLISHED
        policy b-closed
        a:1000 > b:50000 A POLICY_DENIED
        60 a:1000 > b:50000 A POLICY_DENIED
        60 b:50000 > a:1000 A POLICY_DENIED
    """,
    "UDP: answers pass, for two minutes": """
        policy a-to-b
        a:40000 > b:53 udp ALLOWED
        b:53 > a:40000 udp ESTABLISHED
        b:54 > a:40000 udp POLICY_DENIED
        b:53 > a:40001 udp POLICY_DENIED
        119 b:53 > a:40000 udp ESTABLISHED
        240 b:53 > a:40000 udp POLICY_DENIED
    """,
    "UDP: unanswered, for half a minute": """
        policy a-to-b
        a:40000 > b:53 udp ALLOWED
        29 a:40000 > b:53 udp ESTABLISHED
        60 b:53 > a:40000 udp POLICY_DENIED
        60 a:40000 > b:53 udp ALLOWED
    """,
    "ping": """
        policy a-to-b
        a:9 > b ping ALLOWED
        b > a:9 pong ESTABLISHED
        a:9 > b ping ESTABLISHED
        b > a:8 pong POLICY_DENIED
        b:9 > a ping POLICY_DENIED
    """,
    "errors pass with the connection that they are about": f"""
        policy a-to-b
        {OPENED}
        b:80 > a:40000 error RELATED
        a:40000 > b:80 error RELATED
        b:81 > a:40000 error ICMP_UNRELATED
        c:80 > a:40000 error ICMP_UNRELATED
        b:80 > a:40000 error via c SPOOFED_SOURCE
        a:40000 > world:53 udp ALLOWED
        world:53 > a:40000 error RELATED
        world:53 > b:40000 error ICMP_UNRELATED
    """,
    "errors keep nothing alive": """
        a:40000 > b:53 udp ALLOWED
        29 b:53 > a:40000 error RELATED
        31 b:53 > a:40000 error ICMP_UNRELATED
    """,
    "a changed policy cuts both directions, and heals": f"""
        {OPENED}
        policy closed
        b:80 > a:40000 A POLICY_DENIED
        a:40000 > b:80 A POLICY_DENIED
        a:40000 > b:80 S POLICY_DENIED
        b:80 > a:40000 SA POLICY_DENIED
        b:80 > a:40000 error POLICY_DENIED
        policy a-to-b
        b:80 > a:40000 A ESTABLISHED
        a:40000 > b:80 A ESTABLISHED
        b:80 > a:40000 S POLICY_DENIED
    """,
    "what is cut does not pass as the responder's own": """
        a:40000 > b:53 udp ALLOWED
        b:53 > a:40000 udp ESTABLISHED
        policy b-closed
        b:53 > a:40000 udp POLICY_DENIED
        a:40000 > b:53 udp POLICY_DENIED
        b:53 > a:40000 udp POLICY_DENIED
        policy none
        b:53 > a:40000 udp ESTABLISHED
    """,
    "a policy that says the same of it leaves a connection alone": f"""
        {OPENED}
        policy a-to-b
        a:40000 > b:80 A ESTABLISHED
        b:80 > a:40000 A ESTABLISHED
        policy none
        b:80 > a:40000 A ESTABLISHED
    """,
    "by another's interface, and back": f"""
        {OPENED}
        a:40000 > b:80 A via c SPOOFED_SOURCE
        b:80 > a:40000 A via c SPOOFED_SOURCE
        b:80 > a:40000 A via a SPOOFED_SOURCE
        a:40000 > b:80 A via b SPOOFED_SOURCE
        a:40000 > b:80 S via c SPOOFED_SOURCE
        a:40001 > b:80 S via c SPOOFED_SOURCE
        world:40000 > b:80 S via c SPOOFED_SOURCE
        world:80 > b:40000 A via c SPOOFED_SOURCE
        a:40000 > b:80 A ESTABLISHED
    """,
    "to a service's own address": """
        a:40000 > service:80 S NO_SERVICE_PORT
        a:40000 > service:81 udp NO_SERVICE_PORT
        a:40000 > service:80 A NO_SERVICE_PORT
        a:79 > service:80 A NO_SERVICE_PORT
        a:79 > service:80 SA UNSOLICITED_REPLY
        a:9 > service ping NO_SERVICE_PORT
        service:80 > a:40000 A NO_SERVICE_PORT
        service:80 > a:40000 S NO_SERVICE_PORT
    """,
}
FLAGS = {"S": SYN, "A": ACK, "F": FIN, "R": RST}
LINE = re.compile(
    r"(?:(?P<at>\d+) )?(?P<src>\w+)(?::(?P<sport>\d+))? > (?P<dst>\w+)(?::(?P<dport>\d+))? "
    r"(?P<what>\w+)(?: via (?P<via>\w+))? (?P<reason>[A-Z_]+)"
)


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with kernel_of("conntrack") as kernel:
        yield kernel


def world(policies: str) -> World:
    workloads = [workload(f"{name}-{at}", app=name) for name, at in INTERFACES.items()]
    return world_of(*workloads, text=SERVICE + POLICIES[policies])


@pytest.mark.parametrize("transcript", TRANSCRIPTS.values(), ids=list(TRANSCRIPTS))
def test_transcript(kernel: Kernel, transcript: str) -> None:
    kernel.move_to(world("none"))
    kernel.forget()
    expected = [" ".join(line.split()) for line in transcript.splitlines() if line.strip()]
    found = []
    for line in expected:
        if line.startswith("policy "):
            kernel.move_to(world(line.removeprefix("policy ")))
            found.append(line)
        else:
            packet, _, _ = line.rpartition(" ")
            found.append(f"{packet} {_verdict(kernel, line).name}")
    assert found == expected


def _verdict(kernel: Kernel, line: str) -> Reason:
    match = LINE.fullmatch(line)
    assert match, line
    part = match.groupdict()
    packet = _flow(part)
    verdict = kernel.track(packet, int(part["at"] or 0))
    return Reason(verdict.reason)


def _flow(part: dict[str, str]) -> abi.Flow:
    what, sport, dport = part["what"], int(part["sport"] or ECHO), int(part["dport"] or ECHO)
    protocol = {"udp": UDP, "ping": ICMP, "pong": ICMP}.get(what, TCP)
    local = part["src"] in INTERFACES
    if what == "error" and "53" in (part["sport"], part["dport"]):
        protocol = UDP
    return flow(
        NAMES[part["src"]],
        NAMES[part["dst"]],
        protocol,
        sport=sport,
        dport=dport,
        tcp_flags=sum(FLAGS[flag] for flag in what) if set(what) <= FLAGS.keys() else 0,
        icmp_error=what == "error",
        ifindex=INTERFACES[part["via"] or part["src" if local else "dst"]],
        hook=Hook.FROM_WORKLOAD if local or part["via"] else Hook.TO_WORKLOAD,
    )
