"""DNS by TCP, segment by segment: what passes is what was judged, whatever else is sent."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from struct import pack

import pytest

from tests.datapath import frames
from tests.datapath.frames import ACK, FIN, RST, SYN, URG
from tests.datapath.kernel import LOOPBACK, Kernel, kernel_of
from tests.datapath.test_heard import (
    AUDIT,
    CLIENT,
    POLICY,
    RESOLVER,
    STRANGER,
    WANTED,
    Asked,
    Client,
)
from tulle import abi
from tulle.abi import HearerLimit, NameLimit, Reason

BY_TCP = POLICY.replace('{port: "53", protocol: UDP}', '{port: "53"}')
AUDIT_BY_TCP = AUDIT.replace('{port: "53", protocol: UDP}', '{port: "53"}')
OK, SHOT = 0, 2
OTHER = "203.0.113.8"
ALLOWED, DENIED = Asked("api.example"), Asked("evil.test", 4712)


def asked(asked: Asked) -> bytes:
    return prefixed(asked.question()[14 + 20 + 8 :])


def answered(asked: Asked, *addresses: str) -> bytes:
    return prefixed(asked.answer(*addresses)[14 + 20 + 8 :])


def prefixed(message: bytes) -> bytes:
    return pack("!H", len(message)) + message


class Talk:
    """A connection of the client's, both of whose ends a test may speak for."""

    def __init__(self, kernel: Kernel, port: int = 40000, first: int = 1000) -> None:
        self.kernel, self.port = kernel, port
        self.seq, self.answer_seq = first, first + 5_000_000
        self.last: Reason = Reason.ALLOWED

    def open(self) -> Talk:
        self.sends(b"", flags=SYN, at=self.seq)
        self.hears(b"", flags=SYN | ACK, at=self.answer_seq, ack=self.seq + 1)
        self.seq, self.answer_seq = self.seq + 1, self.answer_seq + 1
        return self

    def sends(
        self, data: bytes, *, flags: int = ACK, at: int | None = None, trailer: bytes = b""
    ) -> str:
        """ "passes", "reset" or "falls"; where it is `at` is no news, the stream stands still."""
        segment = frames.tcp(self.port, 53, flags, seq=(at or self.seq) % 2**32) + data
        frame = frames.ether(frames.ipv4(CLIENT, RESOLVER, frames.TCP, segment)) + trailer
        before = self.kernel.datapath.reason_counters()
        action = self.kernel.pass_frame("from_workload", frame)
        now = self.kernel.datapath.reason_counters()
        [self.last] = [kind for kind, item in now.items() if item != before.get(kind)]
        if at is None and self.last < Reason.DROP:
            self.seq += len(data)
        if self.last < Reason.DROP:
            return "passes"
        return "falls" if action == SHOT else "reset"

    def hears(
        self, data: bytes, *, flags: int = ACK, at: int | None = None, ack: int | None = None
    ) -> bool:
        seq = (self.answer_seq if at is None else at) % 2**32
        ack = (self.seq if ack is None else ack) % 2**32
        segment = frames.tcp(53, self.port, flags, seq=seq, ack=ack) + data
        frame = frames.ether(frames.ipv4(RESOLVER, CLIENT, frames.TCP, segment))
        passes = self.kernel.pass_frame("to_workload", frame) == OK
        if passes and at is None:
            self.answer_seq += len(data)
        return passes


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with kernel_of("heard-stream") as made:
        yield made


@pytest.fixture
def client(kernel: Kernel) -> Client:
    made = Client(kernel)
    made.under(BY_TCP)
    return made


@pytest.fixture
def talk(client: Client) -> Talk:
    return Talk(client.kernel).open()


def test_what_is_asked_by_tcp_is_learnt_from(client: Client, talk: Talk) -> None:
    """Whole, in pieces of any size, several at once, and each told as by UDP."""
    client.told()
    assert talk.sends(asked(ALLOWED)) == "passes"
    assert talk.hears(answered(ALLOWED, WANTED))
    assert client.connects() == Reason.ALLOWED
    rng, addresses = Random(7), iter(f"203.0.113.{n}" for n in range(20, 250))
    for turn in range(30):
        questions = [Asked(f"h{turn}-{n}.example", 500 + turn * 4 + n) for n in range(3)]
        assert talk.sends(b"".join(map(asked, questions))) == "passes"
        wanted = [next(addresses) for _ in questions]
        answers = b"".join(answered(*pair) for pair in zip(questions, wanted, strict=True))
        while answers:
            size = rng.randrange(1, 80)
            assert talk.hears(answers[:size])
            answers = answers[size:]
        for address in wanted:
            assert client.connects(address) == Reason.ALLOWED, turn
    first, answer, *_ = client.told()
    assert (first.proto, answer.proto, answer.found) == (frames.TCP, frames.TCP, 1)


def test_a_large_answer_in_pieces_teaches_all_of_it(client: Client, talk: Talk) -> None:
    """Once its last piece has come, and not before."""
    addresses = [f"198.51.{n // 200}.{n % 200}" for n in range(NameLimit.ADDRESSES)]
    talk.sends(asked(ALLOWED))
    answer = answered(ALLOWED, *addresses)
    assert 2 * 1400 < len(answer) <= NameLimit.MESSAGE + 2
    assert talk.hears(answer[:1400])
    assert talk.hears(answer[1400:2800])
    assert client.connects(addresses[0]) == Reason.POLICY_DENIED
    assert talk.hears(answer[2800:])
    for address in (addresses[0], addresses[-1]):
        assert client.connects(address) == Reason.ALLOWED


def test_pieces_of_an_answer_that_overtake_others_come_again(client: Client, talk: Talk) -> None:
    talk.sends(asked(ALLOWED))
    answer, start = answered(ALLOWED, WANTED), talk.answer_seq
    assert not talk.hears(answer[20:], at=start + 20)
    assert talk.hears(answer[:20])
    assert talk.hears(answer[:20], at=start)  # once more, of which nothing is new
    assert talk.hears(answer[10:], at=start + 10)
    assert client.connects() == Reason.ALLOWED
    talk.answer_seq += len(answer) - 20
    for _ in range(NameLimit.STUCK):
        assert not talk.hears(b"?", at=talk.answer_seq + 1)
    assert talk.hears(b"?", at=talk.answer_seq + 1)  # in the end it is no reader's matter


def test_nothing_passes_unjudged(client: Client, talk: Talk) -> None:
    good, bad, start = asked(ALLOWED), asked(DENIED), talk.seq
    refused = {
        "denied": bad,
        "behind one that is allowed": good + bad,
        "split": good[:20],
        "the second split": good + good[:20],
        "half a length": good[:1],
        "no length": b"\0\0" + good,
        "no question": prefixed(b"x" * 40),
        "an answer": answered(ALLOWED, WANTED),
        "too many": good * 65,
    }
    for name, data in refused.items():
        assert talk.sends(data) == "reset", name
    assert talk.last == Reason.DNS_UNREADABLE
    assert talk.sends(good[:20], trailer=good[20:]) == "reset"  # which no server reads
    assert talk.sends(bad) == "reset"
    assert talk.last == Reason.DNS_REFUSED
    assert talk.sends(good, flags=ACK | URG) == "reset"
    assert talk.sends(b"", flags=ACK | URG) == "reset"
    assert talk.sends(good, at=start + 1) == "falls"  # too soon: it comes again
    for _ in range(NameLimit.STUCK):
        talk.sends(good, at=start + 1)
    assert talk.sends(good, at=start + 1) == "reset"
    assert client.count("dns_learned") == 0
    assert talk.sends(good) == "passes"


def test_what_is_sent_again_is_the_same(client: Client, talk: Talk) -> None:
    """Or the resolver could read a question made of two that were judged."""
    start, long = talk.seq, asked(Asked("a-much-longer-name-than-the-other.example"))
    assert talk.sends(asked(ALLOWED)) == "passes"
    assert talk.sends(asked(ALLOWED), at=start) == "passes"
    assert talk.sends(asked(ALLOWED)[5:], at=start + 5) == "passes"
    assert talk.sends(long, at=start) == "reset"
    assert talk.sends(asked(DENIED), at=start) == "reset"
    # With something new behind it.
    both = asked(ALLOWED) + asked(DENIED)
    assert talk.sends(both, at=start) == "reset"
    assert talk.sends(asked(ALLOWED) + long, at=start) == "passes"
    assert talk.sends(long[-9:], at=start + len(asked(ALLOWED) + long) - 9) == "passes"
    talk.seq = start + len(asked(ALLOWED) + long)
    sent = asked(ALLOWED) + long
    while len(sent) < 3 * NameLimit.RECENT:
        assert talk.sends(long) == "passes"
        sent += long
    known = NameLimit.RECENT
    assert talk.sends(sent[-known:], at=talk.seq - known) == "passes"
    assert talk.sends(sent[-known - 1 :], at=talk.seq - known - 1) == "reset"
    older = sent[-10:] + sent[-known : 10 - known]  # what stands there now
    assert talk.sends(older, at=talk.seq - known - 10) == "reset"
    for place in (0, 1, known // 2, known - 1):
        bent = bytearray(sent[-known:])
        bent[place] ^= 1
        assert talk.sends(bytes(bent), at=talk.seq - known) == "reset", place


def test_a_length_may_come_by_itself(client: Client, talk: Talk) -> None:
    """And then stands for the question that follows."""
    good = asked(ALLOWED)
    assert talk.sends(good[:2]) == "passes"
    assert talk.sends(good) == "reset"
    assert talk.sends(good[2:-1]) == "reset"
    assert talk.sends(good[2:] + good[:2]) == "passes"
    assert talk.sends(good[2:]) == "passes"
    assert talk.hears(answered(ALLOWED, WANTED))
    assert client.connects() == Reason.ALLOWED


def test_only_what_the_server_has_accepted_is_begun_anew(client: Client) -> None:
    """A SYN that it does not take for one moves no question's start."""
    talk = Talk(client.kernel)
    first, server = talk.seq, talk.answer_seq
    assert talk.sends(b"", flags=SYN, at=first) == "passes"
    assert talk.sends(asked(ALLOWED), at=first + 1) == "reset"  # before it has accepted
    assert talk.sends(asked(ALLOWED), flags=SYN, at=first) == "falls"
    talk.hears(b"", flags=SYN | ACK, at=server, ack=first + 2)  # another's
    assert talk.sends(asked(ALLOWED), at=first + 1) == "reset"
    talk.hears(b"", flags=SYN | ACK, at=server, ack=first + 1)
    talk.seq = first + 1
    assert talk.sends(asked(ALLOWED)[:2]) == "passes"
    talk.sends(b"", flags=SYN, at=first)  # once more: nothing is forgotten
    assert talk.sends(asked(ALLOWED)) == "reset"
    assert talk.sends(asked(ALLOWED)[2:]) == "passes"
    talk.sends(b"", flags=RST, at=first + 9)
    talk.sends(b"", flags=SYN, at=talk.seq - 1)
    talk.hears(b"", flags=SYN | ACK, at=server, ack=talk.seq)  # of before, come late
    assert talk.sends(asked(ALLOWED)) == "reset"
    talk.hears(b"", flags=SYN | ACK, at=server + 77, ack=talk.seq)
    assert talk.sends(asked(ALLOWED)) == "passes"


def test_what_is_not_known_from_its_start_is_not_asked_on(client: Client, talk: Talk) -> None:
    client.kernel.datapath.heard.forget({LOOPBACK})
    assert talk.sends(asked(ALLOWED)) == "reset"
    assert talk.hears(answered(ALLOWED, WANTED))
    assert client.connects() == Reason.POLICY_DENIED


@pytest.mark.parametrize("port", [20, 40000])
def test_whoever_speaks_first_in_mid_stream_asks_nothing(client: Client, port: int) -> None:
    """Nor who opens a connection in the resolver's name where there is one."""
    talk = Talk(client.kernel, port).open()
    talk.hears(b"", flags=SYN, ack=0)
    assert talk.sends(asked(DENIED)) == "reset"
    assert talk.last == Reason.DNS_REFUSED
    client.kernel.forget()
    assert talk.sends(asked(DENIED)) == "reset"
    assert not talk.hears(b"?")
    assert talk.sends(asked(DENIED)) == "reset"
    client.under(AUDIT_BY_TCP)
    assert talk.sends(asked(DENIED)) == "passes"
    client.under(BY_TCP)
    assert talk.sends(asked(DENIED)) == "reset"
    assert talk.last == Reason.DNS_UNREADABLE


def test_each_workload_has_so_many_connections(client: Client) -> None:
    """Its own oldest give way; those of others do not, and what has ended leaves its place."""
    stranger = abi.AskedKey(ifindex=STRANGER, client=bytes(16), resolver=bytes(16)).pack()
    client.kernel.maps["dns_talks"][stranger] = abi.DnsTalk().pack()
    talks = [Talk(client.kernel, 41000 + n).open() for n in range(HearerLimit.TALKS + 1)]
    assert client.count("dns_talks") == HearerLimit.TALKS + 1
    assert [item.sends(asked(ALLOWED)) for item in talks[:2]] == ["reset", "passes"]
    assert talks[1].hears(answered(ALLOWED, WANTED), flags=ACK | FIN)
    assert client.connects() == Reason.ALLOWED
    assert talks[2].hears(b"", flags=RST)
    assert client.count("dns_talks") == client.count("dns_asked_at") + 1 == HearerLimit.TALKS - 1
    assert stranger in dict(client.kernel.maps["dns_talks"].items())


def test_where_everything_may_be_asked_nothing_falls(client: Client, talk: Talk) -> None:
    """What can be read is learnt from all the same."""
    client.under(AUDIT_BY_TCP)
    talk = Talk(client.kernel, 42000).open()
    assert talk.sends(asked(DENIED)) == "passes"
    assert talk.sends(asked(ALLOWED)) == "passes"
    assert talk.hears(answered(DENIED, OTHER) + answered(ALLOWED, WANTED))
    heard = client.kernel.datapath.heard
    assert heard.addresses(LOOPBACK, "evil.test") and heard.addresses(LOOPBACK, "api.example")
    assert [item.unmet for item in client.told()[-4:-2]] == [1, 0]
    start = talk.seq
    assert talk.sends(asked(ALLOWED)[:20]) == "passes"
    assert talk.sends(asked(ALLOWED)[20:]) == "passes"
    client.under(BY_TCP)
    assert talk.sends(asked(ALLOWED), at=start) == "reset"  # nobody knows what it would continue
