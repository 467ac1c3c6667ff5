"""Generated from bpf/abi.h by `./run abi`; do not edit."""

# ruff: noqa
from __future__ import annotations

import sys
from enum import IntEnum
from struct import Struct
from typing import NamedTuple, Tuple

_Bytes = bytes  # fields may be called bytes


def _be16(value: int) -> int:
    return value if sys.byteorder == "big" else (value & 0xFF) << 8 | value >> 8


class Action(IntEnum):
    ALLOW = 1
    DENY = 2
    REJECT = 3
    ANSWER = 4


class CtFlag(IntEnum):
    FIN_0 = 1
    FIN_1 = 2
    RST = 4
    REPLIED = 8
    MIDSTREAM = 16
    TRANSLATED = 32
    PROXY_0 = 64
    PROXY_1 = 128
    STREAM = 256
    HELD = 512
    NOT_HELD = 1024
    WATCHED = 8192


class CtLifetime(IntEnum):
    DENIED = 86400
    TCP = 86400
    TCP_OPENING = 60
    TCP_CLOSING = 10
    OTHER = 120
    OTHER_OPENING = 30


class DecideOp(IntEnum):
    JUDGE = 1
    TRACK = 2
    BALANCE = 3


class Direction(IntEnum):
    INGRESS = 1
    EGRESS = 2


class DnsRulesFlag(IntEnum):
    PASS = 1
    AUDIT = 2


class DnsStatus(IntEnum):
    READ = 1
    BAD = 2
    ODD = 3


class EndpointFlag(IntEnum):
    WORKLOAD = 1
    HOST = 2
    REMOTE = 4
    NODE = 8
    INGRESS = 16
    WATCHED = 32


class GoneService(IntEnum):
    NO_SERVICE = 0
    UNREAD = 2147483647


class H2Limit(IntEnum):
    WAITING = 128
    STEPS = 8192


class HearerLimit(IntEnum):
    NAMES = 512
    ADDRESSES = 1024
    QUESTIONS = 256
    TALKS = 16
    TOLD = 128


class Hook(IntEnum):
    FROM_WORKLOAD = 1
    TO_WORKLOAD = 2
    SOCKET = 3
    FROM_UPLINK = 4
    TO_UPLINK = 5
    FROM_OVERLAY = 6
    TO_OVERLAY = 7
    STREAM = 8


class HttpBucket(IntEnum):
    BUCKETS = 24


class HttpClass(IntEnum):
    UNSEEN = 0
    REFUSED = 6


class HttpLimit(IntEnum):
    HEAD_MAX = 8192
    BLOCK = 256
    WINDOW = 32
    DIGITS = 18
    HEX_DIGITS = 15
    PIECE = 4096
    WHOLE = 16384
    RECENT = 1024
    CHUNK_LINE = 27
    CHUNK_LINES = 64
    PATH_KEPT = 128
    HOST_KEPT = 64
    SWALLOWED = 65536
    STUCK = 16
    TOLD = 200
    CHOICES = 8
    NAME_KEPT = 32
    VALUE_KEPT = 64
    CONDITIONS = 32


class HttpOutcome(IntEnum):
    MORE = 0
    HEAD = 1
    END = 2
    REFUSED = 3


class HttpPhase(IntEnum):
    START = 0
    METHOD = 1
    PATH = 2
    QUERY = 3
    VERSION = 4
    LINE_LF = 5
    LINE = 6
    NAME = 7
    VALUE = 8
    VALUE_LF = 9
    LAST_LF = 10
    BODY = 11
    CHUNK_SIZE = 12
    CHUNK_EXTENSION = 13
    CHUNK_SIZE_LF = 14
    CHUNK_DATA = 15
    CHUNK_CR = 16
    CHUNK_LF = 17
    TRAILER = 18
    TRAILER_NAME = 19
    TRAILER_VALUE = 20
    TRAILER_LF = 21
    TRAILER_LAST_LF = 22
    ENDED = 23
    OPAQUE = 24


class HttpRefusal(IntEnum):
    BAD_METHOD = 1
    BAD_TARGET = 2
    AMBIGUOUS_PATH = 3
    BAD_VERSION = 4
    BAD_LINE = 5
    BAD_NAME = 6
    BAD_VALUE = 7
    FOLDED = 8
    BAD_HOST = 9
    BAD_LENGTH = 10
    BAD_TRANSFER = 11
    UPGRADES = 12
    BAD_CHUNK = 13
    TOO_LONG = 14
    OUT_OF_TURN = 15


class HttpSeen(IntEnum):
    HOST = 1
    LENGTH = 2
    CHUNKED = 4
    OLD = 8
    UPGRADE = 16
    ASKED = 32


class Identity(IntEnum):
    ANY = 0
    HOST = 1
    WORLD = 2
    UNMANAGED = 3
    REMOTE_NODE = 6
    INGRESS = 8
    SERVICE = 16
    FIRST = 256


class IpcacheFlag(IntEnum):
    NO_MASQUERADE = 1


class Limit(IntEnum):
    ENDPOINTS = 524288
    IPCACHE = 65536
    POLICY = 524288
    SERVICES = 262144
    SLOTS = 1048576
    BACKENDS = 524288
    SOURCE_RANGES = 16384
    EGRESS_GATEWAY = 65536
    AFFINITY = 65536
    SOCK_NAT = 131072
    CONNTRACK = 262144
    NAT = 262144
    FRAGMENTS = 8192
    GONE = 65536
    WIRES = 65536
    BANDWIDTH = 65536
    BUCKETS = 8192
    RULES = 65536
    FQDNS = 131072
    GLOBS = 8192
    DNS_RULES = 65536
    HEARERS = 16384
    LEARNED = 131072
    NAMES = 65536
    ASKED = 32768
    DNS_TALKS = 2048
    HTTP_RULES = 131072
    HTTP_HEADERS = 16384
    STREAMS = 65536
    HTTP_HEADS = 4096
    HTTP_LINES = 4096
    TALKS = 16384
    HTTP_COUNTS = 4096
    HELLOS = 1024
    H2_TALKS = 2048
    H2_REQUESTS = 4096
    H2_FIELDS = 16384
    SHORTS = 16384
    HOMES = 16384
    EVENT_BYTES = 4194304
    REQUEST_BYTES = 1048576
    QUESTION_BYTES = 1048576


class Mark(IntEnum):
    DONE = 1953852417
    LOCAL = 1953852418
    ANSWER = 1953852419
    PROXY = 1953497088
    TURNED = 1953562624


class NameLimit(IntEnum):
    TEXT = 256
    SUFFIX = 244
    CANDIDATES = 32
    GLOB = 63
    SYMBOLS = 64
    OF_ADDRESS = 8
    MESSAGE = 4096
    ADDRESSES = 128
    RECORDS = 256
    POINTERS = 16
    FLOOR_S = 60
    CEILING_S = 86400
    GRACE_S = 60
    ASKED_S = 30
    SELECTOR = 16777216
    TOLD = 16
    RECENT = 1024
    STUCK = 16
    IDLE_S = 120


class NameMatch(IntEnum):
    EXACT = 1
    LABEL = 2
    BELOW = 3
    ALL = 4
    PATTERN = 5


class NameScope(IntEnum):
    SET = 1
    RULES = 2


class NatFlag(IntEnum):
    FORWARD = 1
    SERVICE = 2
    DSR = 4
    FIN = 8
    RST = 16
    REPLIED = 32


class NatLifetime(IntEnum):
    TCP = 86400
    TCP_CLOSING = 60
    OTHER = 120


class NodeFlag(IntEnum):
    VXLAN = 1
    MASQUERADE_4 = 2
    MASQUERADE_6 = 4
    DSR = 8
    BANDWIDTH = 16
    CHAINED = 32
    SHORT = 64
    SHORT_LEFT = 128


class PolicyFlag(IntEnum):
    NAMES = 1
    AUDIT_NAMES = 2
    DNS = 4
    HELD = 16
    AUDITED = 8


class PolicyPrefix(IntEnum):
    ANY = 96
    PORT = 112
    FULL = 128


class PolicySet(IntEnum):
    OPEN = 0
    FIRST = 1


class Reason(IntEnum):
    ALLOWED = 1
    ESTABLISHED = 2
    RELATED = 3
    LINK_LOCAL = 4
    TRANSLATED = 5
    FORWARDED = 6
    NODE = 7
    PROXIED = 8
    SHORT = 9
    POLICY_DENIED = 64
    DROP = 64
    SPOOFED_SOURCE = 65
    MALFORMED = 66
    UNSUPPORTED_PROTOCOL = 67
    FRAGMENT_UNTRACKED = 68
    ICMP_UNRELATED = 69
    NO_BACKEND = 70
    NO_SERVICE_PORT = 71
    NO_POLICY = 72
    NO_ENDPOINT = 73
    CONNTRACK_FULL = 74
    UNSOLICITED_REPLY = 75
    SPOOFED_TUNNEL = 76
    NAT_PORTS_EXHAUSTED = 77
    NAT_FULL = 78
    NAT_UNSUPPORTED = 79
    NO_ROUTE = 80
    SOURCE_RANGE = 81
    NO_GATEWAY = 82
    NO_PROXY = 83
    OTHER_RULES = 84
    OVER_BANDWIDTH = 85
    DNS_REFUSED = 86
    DNS_UNREADABLE = 87
    DNS_PROTOCOL = 88
    NOT_HELD = 89
    HTTP_CUT = 90
    BEHIND = 91
    HTTP_KEPT = 92
    HTTP_REFUSED = 93
    HTTP_ORDER = 94
    MAX = 95


class RuleId(IntEnum):
    NONE = 0
    NOT_ISOLATED = 1
    HOST = 2
    SELF = 3
    FIRST = 256


class ServiceFlag(IntEnum):
    EXTERNAL = 1
    MAGLEV = 2
    SOURCE_RANGES = 4
    CLIENT_IP = 8
    PROXY = 16


class ShortEnd(IntEnum):
    ON = 0
    OFF = 1
    GONE = 2
    POLICY = 3
    READ = 4
    LIMITED = 5
    CALL = 6
    BLOCKING = 7
    BYTES = 8
    PIECES = 9
    LOST = 10
    END_MAX = 11


class ShortLimit(IntEnum):
    BYTES_MAX = 131072
    PIECES_MAX = 256
    FIRST = 2
    LAST = 8
    LOOK_NS = 10000000


class TalkKind(IntEnum):
    HTTP = 0
    TLS = 1
    HTTP2 = 2
    UPGRADED = 3
    H2_REQUEST = 4


class Vni(IntEnum):
    NONE = 0
    DSR = 1
    EGRESS = 2
    HOST = 3
    FIRST = 16


_Affinity = Struct("=QQ")


class Affinity(NamedTuple):
    last_used_ns: int = 0
    backend: int = 0

    def pack(self) -> _Bytes:
        return _Affinity.pack(self.last_used_ns, self.backend)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Affinity":
        v = _Affinity.unpack(raw)
        return cls(v[0], v[1])


_AffinityKey = Struct("=16sI4x")


class AffinityKey(NamedTuple):
    client: _Bytes = _Bytes(16)
    service: int = 0

    def pack(self) -> _Bytes:
        return _AffinityKey.pack(self.client, self.service)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "AffinityKey":
        v = _AffinityKey.unpack(raw)
        return cls(v[0], v[1])


_DnsName = Struct("=I256s")


class DnsName(NamedTuple):
    bits: int = 0
    text: _Bytes = _Bytes(256)

    def pack(self) -> _Bytes:
        return _DnsName.pack(self.bits, self.text)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "DnsName":
        v = _DnsName.unpack(raw)
        return cls(v[0], v[1])


_KnownName = Struct("=I260s")


class KnownName(NamedTuple):
    labels: int = 0
    name: DnsName = DnsName()

    def pack(self) -> _Bytes:
        return _KnownName.pack(self.labels, self.name.pack())

    @classmethod
    def unpack(cls, raw: _Bytes) -> "KnownName":
        v = _KnownName.unpack(raw)
        return cls(v[0], DnsName.unpack(v[1]))


_Asked = Struct("=QHH264sI")


class Asked(NamedTuple):
    time_ns: int = 0
    qtype: int = 0
    qclass: int = 0
    known: KnownName = KnownName()
    place: int = 0

    def pack(self) -> _Bytes:
        return _Asked.pack(self.time_ns, self.qtype, self.qclass, self.known.pack(), self.place)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Asked":
        v = _Asked.unpack(raw)
        return cls(v[0], v[1], v[2], KnownName.unpack(v[3]), v[4])


_AskedKey = Struct("=16s16sIHHHH")


class AskedKey(NamedTuple):
    client: _Bytes = _Bytes(16)
    resolver: _Bytes = _Bytes(16)
    ifindex: int = 0
    port: int = 0
    resolver_port: int = 0
    id: int = 0
    proto: int = 0

    def pack(self) -> _Bytes:
        return _AskedKey.pack(self.client, self.resolver, self.ifindex, _be16(self.port), _be16(self.resolver_port), _be16(self.id), self.proto)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "AskedKey":
        v = _AskedKey.unpack(raw)
        return cls(v[0], v[1], v[2], _be16(v[3]), _be16(v[4]), _be16(v[5]), v[6])


_Backend = Struct("=IH2x16s")


class Backend(NamedTuple):
    service: int = 0
    port: int = 0
    addr: _Bytes = _Bytes(16)

    def pack(self) -> _Bytes:
        return _Backend.pack(self.service, _be16(self.port), self.addr)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Backend":
        v = _Backend.unpack(raw)
        return cls(v[0], _be16(v[1]), v[2])


_Bandwidth = Struct("=QQ")


class Bandwidth(NamedTuple):
    bits_per_s: int = 0
    burst_ns: int = 0

    def pack(self) -> _Bytes:
        return _Bandwidth.pack(self.bits_per_s, self.burst_ns)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Bandwidth":
        v = _Bandwidth.unpack(raw)
        return cls(v[0], v[1])


_BandwidthKey = Struct("=II")


class BandwidthKey(NamedTuple):
    ifindex: int = 0
    direction: int = 0

    def pack(self) -> _Bytes:
        return _BandwidthKey.pack(self.ifindex, self.direction)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "BandwidthKey":
        v = _BandwidthKey.unpack(raw)
        return cls(v[0], v[1])


_Bucket = Struct("=QQ")


class Bucket(NamedTuple):
    paid_ns: int = 0
    told_ns: int = 0

    def pack(self) -> _Bytes:
        return _Bucket.pack(self.paid_ns, self.told_ns)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Bucket":
        v = _Bucket.unpack(raw)
        return cls(v[0], v[1])


_Candidate = Struct("=IBBH")


class Candidate(NamedTuple):
    selector: int = 0
    match: int = 0
    labels: int = 0
    skip: int = 0

    def pack(self) -> _Bytes:
        return _Candidate.pack(self.selector, self.match, self.labels, self.skip)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Candidate":
        v = _Candidate.unpack(raw)
        return cls(v[0], v[1], v[2], v[3])


_Counter = Struct("=QQ")


class Counter(NamedTuple):
    packets: int = 0
    bytes: int = 0

    def pack(self) -> _Bytes:
        return _Counter.pack(self.packets, self.bytes)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Counter":
        v = _Counter.unpack(raw)
        return cls(v[0], v[1])


_CtEntry = Struct("=QQIIIIIIHHH2x")


class CtEntry(NamedTuple):
    last_seen_ns: int = 0
    judgement: int = 0
    ifindex: Tuple[int, int] = (0, 0)
    egress_rule: int = 0
    ingress_rule: int = 0
    flags: int = 0
    initiator: int = 0
    proxy: int = 0
    passed: int = 0
    dns: int = 0

    def pack(self) -> _Bytes:
        return _CtEntry.pack(self.last_seen_ns, self.judgement, self.ifindex[0], self.ifindex[1], self.egress_rule, self.ingress_rule, self.flags, self.initiator, _be16(self.proxy), _be16(self.passed), _be16(self.dns))

    @classmethod
    def unpack(cls, raw: _Bytes) -> "CtEntry":
        v = _CtEntry.unpack(raw)
        return cls(v[0], v[1], (v[2], v[3]), v[4], v[5], v[6], v[7], _be16(v[8]), _be16(v[9]), _be16(v[10]))


_CtKey = Struct("=16s16sHHB3x")


class CtKey(NamedTuple):
    addr: Tuple[_Bytes, _Bytes] = (_Bytes(16), _Bytes(16))
    port: Tuple[int, int] = (0, 0)
    proto: int = 0

    def pack(self) -> _Bytes:
        return _CtKey.pack(self.addr[0], self.addr[1], _be16(self.port[0]), _be16(self.port[1]), self.proto)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "CtKey":
        v = _CtKey.unpack(raw)
        return cls((v[0], v[1]), (_be16(v[2]), _be16(v[3])), v[4])


_Flow = Struct("=16s16sHHBBBBBBHIII")


class Flow(NamedTuple):
    src: _Bytes = _Bytes(16)
    dst: _Bytes = _Bytes(16)
    sport: int = 0
    dport: int = 0
    proto: int = 0
    tcp_flags: int = 0
    icmp_error: int = 0
    translated: int = 0
    from_proxy: int = 0
    payload: int = 0
    passed: int = 0
    ifindex: int = 0
    hook: int = 0
    vni: int = 0

    def pack(self) -> _Bytes:
        return _Flow.pack(self.src, self.dst, _be16(self.sport), _be16(self.dport), self.proto, self.tcp_flags, self.icmp_error, self.translated, self.from_proxy, self.payload, _be16(self.passed), self.ifindex, self.hook, self.vni)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Flow":
        v = _Flow.unpack(raw)
        return cls(v[0], v[1], _be16(v[2]), _be16(v[3]), v[4], v[5], v[6], v[7], v[8], v[9], _be16(v[10]), v[11], v[12], v[13])


_Verdict = Struct("=IIIIIIIIIBBBBBBHHBB")


class Verdict(NamedTuple):
    reason: int = 0
    src_identity: int = 0
    dst_identity: int = 0
    src_ifindex: int = 0
    dst_ifindex: int = 0
    egress_rule: int = 0
    ingress_rule: int = 0
    audit_rule: int = 0
    action: int = 0
    reply: int = 0
    translated: int = 0
    to_proxy: int = 0
    standing: int = 0
    held: int = 0
    heard: int = 0
    proxy: int = 0
    dns: int = 0
    watched: int = 0
    judged: int = 0

    def pack(self) -> _Bytes:
        return _Verdict.pack(self.reason, self.src_identity, self.dst_identity, self.src_ifindex, self.dst_ifindex, self.egress_rule, self.ingress_rule, self.audit_rule, self.action, self.reply, self.translated, self.to_proxy, self.standing, self.held, self.heard, _be16(self.proxy), _be16(self.dns), self.watched, self.judged)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Verdict":
        v = _Verdict.unpack(raw)
        return cls(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12], v[13], v[14], _be16(v[15]), _be16(v[16]), v[17], v[18])


_Table = Struct("=QI4x")


class Table(NamedTuple):
    id: int = 0
    slots: int = 0

    def pack(self) -> _Bytes:
        return _Table.pack(self.id, self.slots)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Table":
        v = _Table.unpack(raw)
        return cls(v[0], v[1])


_Service = Struct("=III4x16s16s16s")


class Service(NamedTuple):
    id: int = 0
    flags: int = 0
    affinity_s: int = 0
    internal: Table = Table()
    external: Table = Table()
    local: Table = Table()

    def pack(self) -> _Bytes:
        return _Service.pack(self.id, self.flags, self.affinity_s, self.internal.pack(), self.external.pack(), self.local.pack())

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Service":
        v = _Service.unpack(raw)
        return cls(v[0], v[1], v[2], Table.unpack(v[3]), Table.unpack(v[4]), Table.unpack(v[5]))


_Slot = Struct("=QII16sH2x4x")


class Slot(NamedTuple):
    backend: int = 0
    keep: int = 0
    alias: int = 0
    addr: _Bytes = _Bytes(16)
    port: int = 0

    def pack(self) -> _Bytes:
        return _Slot.pack(self.backend, self.keep, self.alias, self.addr, _be16(self.port))

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Slot":
        v = _Slot.unpack(raw)
        return cls(v[0], v[1], v[2], v[3], _be16(v[4]))


_DecideArgs = Struct("=56s48s64s40sQIII4x")


class DecideArgs(NamedTuple):
    flow: Flow = Flow()
    verdict: Verdict = Verdict()
    service: Service = Service()
    slot: Slot = Slot()
    now_ns: int = 0
    op: int = 0
    draw: Tuple[int, int] = (0, 0)

    def pack(self) -> _Bytes:
        return _DecideArgs.pack(self.flow.pack(), self.verdict.pack(), self.service.pack(), self.slot.pack(), self.now_ns, self.op, self.draw[0], self.draw[1])

    @classmethod
    def unpack(cls, raw: _Bytes) -> "DecideArgs":
        v = _DecideArgs.unpack(raw)
        return cls(Flow.unpack(v[0]), Verdict.unpack(v[1]), Service.unpack(v[2]), Slot.unpack(v[3]), v[4], v[5], (v[6], v[7]))


_DnsEvent = Struct("=Q16s16sHHHHIIIIIIII256s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s")


class DnsEvent(NamedTuple):
    time_ns: int = 0
    client: _Bytes = _Bytes(16)
    resolver: _Bytes = _Bytes(16)
    port: int = 0
    resolver_port: int = 0
    qtype: int = 0
    flags: int = 0
    reason: int = 0
    rule: int = 0
    rules: int = 0
    unmet: int = 0
    found: int = 0
    ttl_s: int = 0
    bits: int = 0
    proto: int = 0
    text: _Bytes = _Bytes(256)
    address: Tuple[_Bytes, _Bytes, _Bytes, _Bytes, _Bytes, _Bytes, _Bytes, _Bytes, _Bytes, _Bytes, _Bytes, _Bytes, _Bytes, _Bytes, _Bytes, _Bytes] = (_Bytes(16), _Bytes(16), _Bytes(16), _Bytes(16), _Bytes(16), _Bytes(16), _Bytes(16), _Bytes(16), _Bytes(16), _Bytes(16), _Bytes(16), _Bytes(16), _Bytes(16), _Bytes(16), _Bytes(16), _Bytes(16))

    def pack(self) -> _Bytes:
        return _DnsEvent.pack(self.time_ns, self.client, self.resolver, _be16(self.port), _be16(self.resolver_port), self.qtype, self.flags, self.reason, self.rule, self.rules, self.unmet, self.found, self.ttl_s, self.bits, self.proto, self.text, self.address[0], self.address[1], self.address[2], self.address[3], self.address[4], self.address[5], self.address[6], self.address[7], self.address[8], self.address[9], self.address[10], self.address[11], self.address[12], self.address[13], self.address[14], self.address[15])

    @classmethod
    def unpack(cls, raw: _Bytes) -> "DnsEvent":
        v = _DnsEvent.unpack(raw)
        return cls(v[0], v[1], v[2], _be16(v[3]), _be16(v[4]), v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12], v[13], v[14], v[15], (v[16], v[17], v[18], v[19], v[20], v[21], v[22], v[23], v[24], v[25], v[26], v[27], v[28], v[29], v[30], v[31]))


_DnsMessage = Struct("=IHHHH264sI2560s")


class DnsMessage(NamedTuple):
    status: int = 0
    id: int = 0
    flags: int = 0
    qtype: int = 0
    qclass: int = 0
    asked: KnownName = KnownName()
    found: int = 0
    addresses: _Bytes = _Bytes(2560)

    def pack(self) -> _Bytes:
        return _DnsMessage.pack(self.status, self.id, self.flags, self.qtype, self.qclass, self.asked.pack(), self.found, self.addresses)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "DnsMessage":
        v = _DnsMessage.unpack(raw)
        return cls(v[0], v[1], v[2], v[3], v[4], KnownName.unpack(v[5]), v[6], v[7])


_DnsNamed = Struct("=QQ264s")


class DnsNamed(NamedTuple):
    id: int = 0
    expires_ns: int = 0
    known: KnownName = KnownName()

    def pack(self) -> _Bytes:
        return _DnsNamed.pack(self.id, self.expires_ns, self.known.pack())

    @classmethod
    def unpack(cls, raw: _Bytes) -> "DnsNamed":
        v = _DnsNamed.unpack(raw)
        return cls(v[0], v[1], KnownName.unpack(v[2]))


_DnsRules = Struct("=I")


class DnsRules(NamedTuple):
    flags: int = 0

    def pack(self) -> _Bytes:
        return _DnsRules.pack(self.flags)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "DnsRules":
        v = _DnsRules.unpack(raw)
        return cls(v[0])


_DnsTalk = Struct("=QIIIIIIIIIIIBBBBBBB5x2048s8192s")


class DnsTalk(NamedTuple):
    seen_ns: int = 0
    place: int = 0
    first: int = 0
    asked: int = 0
    known: int = 0
    due: int = 0
    first_answered: int = 0
    answered: int = 0
    read: int = 0
    length: int = 0
    busy_asking: int = 0
    busy_answering: int = 0
    started: int = 0
    begun: int = 0
    open: int = 0
    asked_lost: int = 0
    answered_lost: int = 0
    asked_stuck: int = 0
    answered_stuck: int = 0
    recent: _Bytes = _Bytes(2048)
    answer: _Bytes = _Bytes(8192)

    def pack(self) -> _Bytes:
        return _DnsTalk.pack(self.seen_ns, self.place, self.first, self.asked, self.known, self.due, self.first_answered, self.answered, self.read, self.length, self.busy_asking, self.busy_answering, self.started, self.begun, self.open, self.asked_lost, self.answered_lost, self.asked_stuck, self.answered_stuck, self.recent, self.answer)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "DnsTalk":
        v = _DnsTalk.unpack(raw)
        return cls(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12], v[13], v[14], v[15], v[16], v[17], v[18], v[19], v[20])


_EgressGateway = Struct("=16s16sI4x")


class EgressGateway(NamedTuple):
    address: _Bytes = _Bytes(16)
    node: _Bytes = _Bytes(16)
    gone: int = 0

    def pack(self) -> _Bytes:
        return _EgressGateway.pack(self.address, self.node, self.gone)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "EgressGateway":
        v = _EgressGateway.unpack(raw)
        return cls(v[0], v[1], v[2])


_EgressKey = Struct("=I16s16s")


class EgressKey(NamedTuple):
    prefixlen: int = 0
    src: _Bytes = _Bytes(16)
    dst: _Bytes = _Bytes(16)

    def pack(self) -> _Bytes:
        return _EgressKey.pack(self.prefixlen, self.src, self.dst)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "EgressKey":
        v = _EgressKey.unpack(raw)
        return cls(v[0], v[1], v[2])


_Endpoint = Struct("=IIIIQQ16s")


class Endpoint(NamedTuple):
    ifindex: int = 0
    identity: int = 0
    flags: int = 0
    vni: int = 0
    ingress_set: int = 0
    egress_set: int = 0
    node: _Bytes = _Bytes(16)

    def pack(self) -> _Bytes:
        return _Endpoint.pack(self.ifindex, self.identity, self.flags, self.vni, self.ingress_set, self.egress_set, self.node)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Endpoint":
        v = _Endpoint.unpack(raw)
        return cls(v[0], v[1], v[2], v[3], v[4], v[5], v[6])


_Event = Struct("=Q56s48sIIQ")


class Event(NamedTuple):
    time_ns: int = 0
    flow: Flow = Flow()
    verdict: Verdict = Verdict()
    bytes: int = 0
    service: int = 0
    cgroup: int = 0

    def pack(self) -> _Bytes:
        return _Event.pack(self.time_ns, self.flow.pack(), self.verdict.pack(), self.bytes, self.service, self.cgroup)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Event":
        v = _Event.unpack(raw)
        return cls(v[0], Flow.unpack(v[1]), Verdict.unpack(v[2]), v[3], v[4], v[5])


_Fill = Struct("=I4xQ")


class Fill(NamedTuple):
    map: int = 0
    entries: int = 0

    def pack(self) -> _Bytes:
        return _Fill.pack(self.map, self.entries)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Fill":
        v = _Fill.unpack(raw)
        return cls(v[0], v[1])


_FqdnKey = Struct("=IIQ244s")


class FqdnKey(NamedTuple):
    bits: int = 0
    kind: int = 0
    scope: int = 0
    text: _Bytes = _Bytes(244)

    def pack(self) -> _Bytes:
        return _FqdnKey.pack(self.bits, self.kind, self.scope, self.text)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "FqdnKey":
        v = _FqdnKey.unpack(raw)
        return cls(v[0], v[1], v[2], v[3])


_FqdnNode = Struct("=I8s8s8s8s8s8s8s8s8s8s8s8s8s8s8s8s8s8s8s8s8s8s8s8s8s8s8s8s8s8s8s8s")


class FqdnNode(NamedTuple):
    used: int = 0
    candidate: Tuple[Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate, Candidate] = (Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate(), Candidate())

    def pack(self) -> _Bytes:
        return _FqdnNode.pack(self.used, self.candidate[0].pack(), self.candidate[1].pack(), self.candidate[2].pack(), self.candidate[3].pack(), self.candidate[4].pack(), self.candidate[5].pack(), self.candidate[6].pack(), self.candidate[7].pack(), self.candidate[8].pack(), self.candidate[9].pack(), self.candidate[10].pack(), self.candidate[11].pack(), self.candidate[12].pack(), self.candidate[13].pack(), self.candidate[14].pack(), self.candidate[15].pack(), self.candidate[16].pack(), self.candidate[17].pack(), self.candidate[18].pack(), self.candidate[19].pack(), self.candidate[20].pack(), self.candidate[21].pack(), self.candidate[22].pack(), self.candidate[23].pack(), self.candidate[24].pack(), self.candidate[25].pack(), self.candidate[26].pack(), self.candidate[27].pack(), self.candidate[28].pack(), self.candidate[29].pack(), self.candidate[30].pack(), self.candidate[31].pack())

    @classmethod
    def unpack(cls, raw: _Bytes) -> "FqdnNode":
        v = _FqdnNode.unpack(raw)
        return cls(v[0], (Candidate.unpack(v[1]), Candidate.unpack(v[2]), Candidate.unpack(v[3]), Candidate.unpack(v[4]), Candidate.unpack(v[5]), Candidate.unpack(v[6]), Candidate.unpack(v[7]), Candidate.unpack(v[8]), Candidate.unpack(v[9]), Candidate.unpack(v[10]), Candidate.unpack(v[11]), Candidate.unpack(v[12]), Candidate.unpack(v[13]), Candidate.unpack(v[14]), Candidate.unpack(v[15]), Candidate.unpack(v[16]), Candidate.unpack(v[17]), Candidate.unpack(v[18]), Candidate.unpack(v[19]), Candidate.unpack(v[20]), Candidate.unpack(v[21]), Candidate.unpack(v[22]), Candidate.unpack(v[23]), Candidate.unpack(v[24]), Candidate.unpack(v[25]), Candidate.unpack(v[26]), Candidate.unpack(v[27]), Candidate.unpack(v[28]), Candidate.unpack(v[29]), Candidate.unpack(v[30]), Candidate.unpack(v[31]), Candidate.unpack(v[32])))


_Fragment = Struct("=HH")


class Fragment(NamedTuple):
    sport: int = 0
    dport: int = 0

    def pack(self) -> _Bytes:
        return _Fragment.pack(_be16(self.sport), _be16(self.dport))

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Fragment":
        v = _Fragment.unpack(raw)
        return cls(_be16(v[0]), _be16(v[1]))


_FragmentKey = Struct("=16s16sIIB3x")


class FragmentKey(NamedTuple):
    src: _Bytes = _Bytes(16)
    dst: _Bytes = _Bytes(16)
    ifindex: int = 0
    id: int = 0
    proto: int = 0

    def pack(self) -> _Bytes:
        return _FragmentKey.pack(self.src, self.dst, self.ifindex, self.id, self.proto)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "FragmentKey":
        v = _FragmentKey.unpack(raw)
        return cls(v[0], v[1], v[2], v[3], v[4])


_Glob = Struct("=QQQ512s")


class Glob(NamedTuple):
    stay: int = 0
    across: int = 0
    accept: int = 0
    step: _Bytes = _Bytes(512)

    def pack(self) -> _Bytes:
        return _Glob.pack(self.stay, self.across, self.accept, self.step)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Glob":
        v = _Glob.unpack(raw)
        return cls(v[0], v[1], v[2], v[3])


_GoneKey = Struct("=16sIH2x")


class GoneKey(NamedTuple):
    addr: _Bytes = _Bytes(16)
    service: int = 0
    port: int = 0

    def pack(self) -> _Bytes:
        return _GoneKey.pack(self.addr, self.service, _be16(self.port))

    @classmethod
    def unpack(cls, raw: _Bytes) -> "GoneKey":
        v = _GoneKey.unpack(raw)
        return cls(v[0], v[1], _be16(v[2]))


_H2Head = Struct("=IBB2x16s64s128s")


class H2Head(NamedTuple):
    path_length: int = 0
    method_length: int = 0
    host_length: int = 0
    method: _Bytes = _Bytes(16)
    host: _Bytes = _Bytes(64)
    path: _Bytes = _Bytes(128)

    def pack(self) -> _Bytes:
        return _H2Head.pack(self.path_length, self.method_length, self.host_length, self.method, self.host, self.path)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "H2Head":
        v = _H2Head.unpack(raw)
        return cls(v[0], v[1], v[2], v[3], v[4], v[5])


_H2RequestKey = Struct("=QI4x")


class H2RequestKey(NamedTuple):
    talk: int = 0
    stream: int = 0

    def pack(self) -> _Bytes:
        return _H2RequestKey.pack(self.talk, self.stream)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "H2RequestKey":
        v = _H2RequestKey.unpack(raw)
        return cls(v[0], v[1])


_HpackValue = Struct("=HB1x128s")


class HpackValue(NamedTuple):
    length: int = 0
    field: int = 0
    text: _Bytes = _Bytes(128)

    def pack(self) -> _Bytes:
        return _HpackValue.pack(self.length, self.field, self.text)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "HpackValue":
        v = _HpackValue.unpack(raw)
        return cls(v[0], v[1], v[2])


_Hpack = Struct("=QQIIIIBBBBBBBBBBB1xH132s6x")


class Hpack(NamedTuple):
    table: int = 0
    meaning: int = 0
    added: int = 0
    number: int = 0
    left: int = 0
    code: int = 0
    bits: int = 0
    shift: int = 0
    phase: int = 0
    kind: int = 0
    field: int = 0
    names: int = 0
    huffman: int = 0
    wanted: int = 0
    seen: int = 0
    is_grpc: int = 0
    grpc: int = 0
    status: int = 0
    value: HpackValue = HpackValue()

    def pack(self) -> _Bytes:
        return _Hpack.pack(self.table, self.meaning, self.added, self.number, self.left, self.code, self.bits, self.shift, self.phase, self.kind, self.field, self.names, self.huffman, self.wanted, self.seen, self.is_grpc, self.grpc, self.status, self.value.pack())

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Hpack":
        v = _Hpack.unpack(raw)
        return cls(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12], v[13], v[14], v[15], v[16], v[17], HpackValue.unpack(v[18]))


_H2Side = Struct("=IIII9sB1xBBBB1x184s")


class H2Side(NamedTuple):
    next: int = 0
    left: int = 0
    block: int = 0
    stream: int = 0
    head: _Bytes = _Bytes(9)
    have: int = 0
    before: int = 0
    opened: int = 0
    begun: int = 0
    lost: int = 0
    hpack: Hpack = Hpack()

    def pack(self) -> _Bytes:
        return _H2Side.pack(self.next, self.left, self.block, self.stream, self.head, self.have, self.before, self.opened, self.begun, self.lost, self.hpack.pack())

    @classmethod
    def unpack(cls, raw: _Bytes) -> "H2Side":
        v = _H2Side.unpack(raw)
        return cls(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], Hpack.unpack(v[10]))


_H2Waiting = Struct("=QIHH")


class H2Waiting(NamedTuple):
    asked_ns: int = 0
    stream: int = 0
    told: int = 0
    ending: int = 0

    def pack(self) -> _Bytes:
        return _H2Waiting.pack(self.asked_ns, self.stream, self.told, self.ending)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "H2Waiting":
        v = _H2Waiting.unpack(raw)
        return cls(v[0], v[1], v[2], v[3])


_H2Talk = Struct("=QII216s216s216s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s16s")


class H2Talk(NamedTuple):
    id: int = 0
    last: int = 0
    early: int = 0
    side: Tuple[H2Side, H2Side] = (H2Side(), H2Side())
    request: H2Head = H2Head()
    waiting: Tuple[H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting, H2Waiting] = (H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting(), H2Waiting())

    def pack(self) -> _Bytes:
        return _H2Talk.pack(self.id, self.last, self.early, self.side[0].pack(), self.side[1].pack(), self.request.pack(), self.waiting[0].pack(), self.waiting[1].pack(), self.waiting[2].pack(), self.waiting[3].pack(), self.waiting[4].pack(), self.waiting[5].pack(), self.waiting[6].pack(), self.waiting[7].pack(), self.waiting[8].pack(), self.waiting[9].pack(), self.waiting[10].pack(), self.waiting[11].pack(), self.waiting[12].pack(), self.waiting[13].pack(), self.waiting[14].pack(), self.waiting[15].pack(), self.waiting[16].pack(), self.waiting[17].pack(), self.waiting[18].pack(), self.waiting[19].pack(), self.waiting[20].pack(), self.waiting[21].pack(), self.waiting[22].pack(), self.waiting[23].pack(), self.waiting[24].pack(), self.waiting[25].pack(), self.waiting[26].pack(), self.waiting[27].pack(), self.waiting[28].pack(), self.waiting[29].pack(), self.waiting[30].pack(), self.waiting[31].pack(), self.waiting[32].pack(), self.waiting[33].pack(), self.waiting[34].pack(), self.waiting[35].pack(), self.waiting[36].pack(), self.waiting[37].pack(), self.waiting[38].pack(), self.waiting[39].pack(), self.waiting[40].pack(), self.waiting[41].pack(), self.waiting[42].pack(), self.waiting[43].pack(), self.waiting[44].pack(), self.waiting[45].pack(), self.waiting[46].pack(), self.waiting[47].pack(), self.waiting[48].pack(), self.waiting[49].pack(), self.waiting[50].pack(), self.waiting[51].pack(), self.waiting[52].pack(), self.waiting[53].pack(), self.waiting[54].pack(), self.waiting[55].pack(), self.waiting[56].pack(), self.waiting[57].pack(), self.waiting[58].pack(), self.waiting[59].pack(), self.waiting[60].pack(), self.waiting[61].pack(), self.waiting[62].pack(), self.waiting[63].pack(), self.waiting[64].pack(), self.waiting[65].pack(), self.waiting[66].pack(), self.waiting[67].pack(), self.waiting[68].pack(), self.waiting[69].pack(), self.waiting[70].pack(), self.waiting[71].pack(), self.waiting[72].pack(), self.waiting[73].pack(), self.waiting[74].pack(), self.waiting[75].pack(), self.waiting[76].pack(), self.waiting[77].pack(), self.waiting[78].pack(), self.waiting[79].pack(), self.waiting[80].pack(), self.waiting[81].pack(), self.waiting[82].pack(), self.waiting[83].pack(), self.waiting[84].pack(), self.waiting[85].pack(), self.waiting[86].pack(), self.waiting[87].pack(), self.waiting[88].pack(), self.waiting[89].pack(), self.waiting[90].pack(), self.waiting[91].pack(), self.waiting[92].pack(), self.waiting[93].pack(), self.waiting[94].pack(), self.waiting[95].pack(), self.waiting[96].pack(), self.waiting[97].pack(), self.waiting[98].pack(), self.waiting[99].pack(), self.waiting[100].pack(), self.waiting[101].pack(), self.waiting[102].pack(), self.waiting[103].pack(), self.waiting[104].pack(), self.waiting[105].pack(), self.waiting[106].pack(), self.waiting[107].pack(), self.waiting[108].pack(), self.waiting[109].pack(), self.waiting[110].pack(), self.waiting[111].pack(), self.waiting[112].pack(), self.waiting[113].pack(), self.waiting[114].pack(), self.waiting[115].pack(), self.waiting[116].pack(), self.waiting[117].pack(), self.waiting[118].pack(), self.waiting[119].pack(), self.waiting[120].pack(), self.waiting[121].pack(), self.waiting[122].pack(), self.waiting[123].pack(), self.waiting[124].pack(), self.waiting[125].pack(), self.waiting[126].pack(), self.waiting[127].pack())

    @classmethod
    def unpack(cls, raw: _Bytes) -> "H2Talk":
        v = _H2Talk.unpack(raw)
        return cls(v[0], v[1], v[2], (H2Side.unpack(v[3]), H2Side.unpack(v[4])), H2Head.unpack(v[5]), (H2Waiting.unpack(v[6]), H2Waiting.unpack(v[7]), H2Waiting.unpack(v[8]), H2Waiting.unpack(v[9]), H2Waiting.unpack(v[10]), H2Waiting.unpack(v[11]), H2Waiting.unpack(v[12]), H2Waiting.unpack(v[13]), H2Waiting.unpack(v[14]), H2Waiting.unpack(v[15]), H2Waiting.unpack(v[16]), H2Waiting.unpack(v[17]), H2Waiting.unpack(v[18]), H2Waiting.unpack(v[19]), H2Waiting.unpack(v[20]), H2Waiting.unpack(v[21]), H2Waiting.unpack(v[22]), H2Waiting.unpack(v[23]), H2Waiting.unpack(v[24]), H2Waiting.unpack(v[25]), H2Waiting.unpack(v[26]), H2Waiting.unpack(v[27]), H2Waiting.unpack(v[28]), H2Waiting.unpack(v[29]), H2Waiting.unpack(v[30]), H2Waiting.unpack(v[31]), H2Waiting.unpack(v[32]), H2Waiting.unpack(v[33]), H2Waiting.unpack(v[34]), H2Waiting.unpack(v[35]), H2Waiting.unpack(v[36]), H2Waiting.unpack(v[37]), H2Waiting.unpack(v[38]), H2Waiting.unpack(v[39]), H2Waiting.unpack(v[40]), H2Waiting.unpack(v[41]), H2Waiting.unpack(v[42]), H2Waiting.unpack(v[43]), H2Waiting.unpack(v[44]), H2Waiting.unpack(v[45]), H2Waiting.unpack(v[46]), H2Waiting.unpack(v[47]), H2Waiting.unpack(v[48]), H2Waiting.unpack(v[49]), H2Waiting.unpack(v[50]), H2Waiting.unpack(v[51]), H2Waiting.unpack(v[52]), H2Waiting.unpack(v[53]), H2Waiting.unpack(v[54]), H2Waiting.unpack(v[55]), H2Waiting.unpack(v[56]), H2Waiting.unpack(v[57]), H2Waiting.unpack(v[58]), H2Waiting.unpack(v[59]), H2Waiting.unpack(v[60]), H2Waiting.unpack(v[61]), H2Waiting.unpack(v[62]), H2Waiting.unpack(v[63]), H2Waiting.unpack(v[64]), H2Waiting.unpack(v[65]), H2Waiting.unpack(v[66]), H2Waiting.unpack(v[67]), H2Waiting.unpack(v[68]), H2Waiting.unpack(v[69]), H2Waiting.unpack(v[70]), H2Waiting.unpack(v[71]), H2Waiting.unpack(v[72]), H2Waiting.unpack(v[73]), H2Waiting.unpack(v[74]), H2Waiting.unpack(v[75]), H2Waiting.unpack(v[76]), H2Waiting.unpack(v[77]), H2Waiting.unpack(v[78]), H2Waiting.unpack(v[79]), H2Waiting.unpack(v[80]), H2Waiting.unpack(v[81]), H2Waiting.unpack(v[82]), H2Waiting.unpack(v[83]), H2Waiting.unpack(v[84]), H2Waiting.unpack(v[85]), H2Waiting.unpack(v[86]), H2Waiting.unpack(v[87]), H2Waiting.unpack(v[88]), H2Waiting.unpack(v[89]), H2Waiting.unpack(v[90]), H2Waiting.unpack(v[91]), H2Waiting.unpack(v[92]), H2Waiting.unpack(v[93]), H2Waiting.unpack(v[94]), H2Waiting.unpack(v[95]), H2Waiting.unpack(v[96]), H2Waiting.unpack(v[97]), H2Waiting.unpack(v[98]), H2Waiting.unpack(v[99]), H2Waiting.unpack(v[100]), H2Waiting.unpack(v[101]), H2Waiting.unpack(v[102]), H2Waiting.unpack(v[103]), H2Waiting.unpack(v[104]), H2Waiting.unpack(v[105]), H2Waiting.unpack(v[106]), H2Waiting.unpack(v[107]), H2Waiting.unpack(v[108]), H2Waiting.unpack(v[109]), H2Waiting.unpack(v[110]), H2Waiting.unpack(v[111]), H2Waiting.unpack(v[112]), H2Waiting.unpack(v[113]), H2Waiting.unpack(v[114]), H2Waiting.unpack(v[115]), H2Waiting.unpack(v[116]), H2Waiting.unpack(v[117]), H2Waiting.unpack(v[118]), H2Waiting.unpack(v[119]), H2Waiting.unpack(v[120]), H2Waiting.unpack(v[121]), H2Waiting.unpack(v[122]), H2Waiting.unpack(v[123]), H2Waiting.unpack(v[124]), H2Waiting.unpack(v[125]), H2Waiting.unpack(v[126]), H2Waiting.unpack(v[127]), H2Waiting.unpack(v[128]), H2Waiting.unpack(v[129]), H2Waiting.unpack(v[130]), H2Waiting.unpack(v[131]), H2Waiting.unpack(v[132]), H2Waiting.unpack(v[133])))


_Hearer = Struct("=QQQQQQQQQQQQII")


class Hearer(NamedTuple):
    names: int = 0
    addresses: int = 0
    questions: int = 0
    talks: int = 0
    forgotten: int = 0
    displaced: int = 0
    refused: int = 0
    asked: int = 0
    answered: int = 0
    denied: int = 0
    untold: int = 0
    second: int = 0
    told: int = 0
    told_denied: int = 0

    def pack(self) -> _Bytes:
        return _Hearer.pack(self.names, self.addresses, self.questions, self.talks, self.forgotten, self.displaced, self.refused, self.asked, self.answered, self.denied, self.untold, self.second, self.told, self.told_denied)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Hearer":
        v = _Hearer.unpack(raw)
        return cls(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12], v[13])


_HearerPlace = Struct("=II")


class HearerPlace(NamedTuple):
    ifindex: int = 0
    place: int = 0

    def pack(self) -> _Bytes:
        return _HearerPlace.pack(self.ifindex, self.place)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "HearerPlace":
        v = _HearerPlace.unpack(raw)
        return cls(v[0], v[1])


_Hello = Struct("=IIIHHHBBBBB1x64s128s")


class Hello(NamedTuple):
    next: int = 0
    skip: int = 0
    rest: int = 0
    size: int = 0
    behind: int = 0
    kind: int = 0
    step: int = 0
    half: int = 0
    high: int = 0
    host_length: int = 0
    path_length: int = 0
    host: _Bytes = _Bytes(64)
    path: _Bytes = _Bytes(128)

    def pack(self) -> _Bytes:
        return _Hello.pack(self.next, self.skip, self.rest, self.size, self.behind, self.kind, self.step, self.half, self.high, self.host_length, self.path_length, self.host, self.path)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Hello":
        v = _Hello.unpack(raw)
        return cls(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12])


_HpackKey = Struct("=QI4x")


class HpackKey(NamedTuple):
    table: int = 0
    number: int = 0

    def pack(self) -> _Bytes:
        return _HpackKey.pack(self.table, self.number)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "HpackKey":
        v = _HpackKey.unpack(raw)
        return cls(v[0], v[1])


_HttpHeaderKey = Struct("=I32s64s")


class HttpHeaderKey(NamedTuple):
    set: int = 0
    name: _Bytes = _Bytes(32)
    value: _Bytes = _Bytes(64)

    def pack(self) -> _Bytes:
        return _HttpHeaderKey.pack(self.set, self.name, self.value)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "HttpHeaderKey":
        v = _HttpHeaderKey.unpack(raw)
        return cls(v[0], v[1], v[2])


_HttpStream = Struct("=QQIIIHBBBBBBBBBBBBBBBB2xIIIHB1x16s64s128s100s4x")


class HttpStream(NamedTuple):
    left: int = 0
    length: int = 0
    size: int = 0
    path_length: int = 0
    rule: int = 0
    set: int = 0
    phase: int = 0
    refusal: int = 0
    seen: int = 0
    kind: int = 0
    matched: int = 0
    segment: int = 0
    escape: int = 0
    digit: int = 0
    last: int = 0
    twice: int = 0
    underscore: int = 0
    method_length: int = 0
    host_length: int = 0
    name_length: int = 0
    value_length: int = 0
    value_end: int = 0
    met: int = 0
    named: int = 0
    spoilt: int = 0
    looked: int = 0
    looks: int = 0
    method: _Bytes = _Bytes(16)
    host: _Bytes = _Bytes(64)
    path: _Bytes = _Bytes(128)
    header: HttpHeaderKey = HttpHeaderKey()

    def pack(self) -> _Bytes:
        return _HttpStream.pack(self.left, self.length, self.size, self.path_length, self.rule, self.set, self.phase, self.refusal, self.seen, self.kind, self.matched, self.segment, self.escape, self.digit, self.last, self.twice, self.underscore, self.method_length, self.host_length, self.name_length, self.value_length, self.value_end, self.met, self.named, self.spoilt, self.looked, self.looks, self.method, self.host, self.path, self.header.pack())

    @classmethod
    def unpack(cls, raw: _Bytes) -> "HttpStream":
        v = _HttpStream.unpack(raw)
        return cls(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12], v[13], v[14], v[15], v[16], v[17], v[18], v[19], v[20], v[21], v[22], v[23], v[24], v[25], v[26], v[27], v[28], v[29], HttpHeaderKey.unpack(v[30]))


_HttpArgs = Struct("=376sIIII288s")


class HttpArgs(NamedTuple):
    http: HttpStream = HttpStream()
    size: int = 0
    used: int = 0
    outcome: int = 0
    allowed: int = 0
    bytes: _Bytes = _Bytes(288)

    def pack(self) -> _Bytes:
        return _HttpArgs.pack(self.http.pack(), self.size, self.used, self.outcome, self.allowed, self.bytes)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "HttpArgs":
        v = _HttpArgs.unpack(raw)
        return cls(HttpStream.unpack(v[0]), v[1], v[2], v[3], v[4], v[5])


_HttpChoice = Struct("=16s64sII")


class HttpChoice(NamedTuple):
    method: _Bytes = _Bytes(16)
    host: _Bytes = _Bytes(64)
    rule: int = 0
    headers: int = 0

    def pack(self) -> _Bytes:
        return _HttpChoice.pack(self.method, self.host, self.rule, self.headers)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "HttpChoice":
        v = _HttpChoice.unpack(raw)
        return cls(v[0], v[1], v[2], v[3])


_HttpChunkLine = Struct("=IB27s")


class HttpChunkLine(NamedTuple):
    seq: int = 0
    size: int = 0
    bytes: _Bytes = _Bytes(27)

    def pack(self) -> _Bytes:
        return _HttpChunkLine.pack(self.seq, self.size, self.bytes)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "HttpChunkLine":
        v = _HttpChunkLine.unpack(raw)
        return cls(v[0], v[1], v[2])


_HttpCount = Struct("=QQQQQQQQQQQQQQQQQQQQQQQQQQ")


class HttpCount(NamedTuple):
    requests: int = 0
    time_ns: int = 0
    bucket: Tuple[int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int, int] = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)

    def pack(self) -> _Bytes:
        return _HttpCount.pack(self.requests, self.time_ns, self.bucket[0], self.bucket[1], self.bucket[2], self.bucket[3], self.bucket[4], self.bucket[5], self.bucket[6], self.bucket[7], self.bucket[8], self.bucket[9], self.bucket[10], self.bucket[11], self.bucket[12], self.bucket[13], self.bucket[14], self.bucket[15], self.bucket[16], self.bucket[17], self.bucket[18], self.bucket[19], self.bucket[20], self.bucket[21], self.bucket[22], self.bucket[23])

    @classmethod
    def unpack(cls, raw: _Bytes) -> "HttpCount":
        v = _HttpCount.unpack(raw)
        return cls(v[0], v[1], (v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12], v[13], v[14], v[15], v[16], v[17], v[18], v[19], v[20], v[21], v[22], v[23], v[24], v[25]))


_HttpCountKey = Struct("=IIIHBB")


class HttpCountKey(NamedTuple):
    src_identity: int = 0
    dst_identity: int = 0
    rule: int = 0
    set: int = 0
    status_class: int = 0
    folded: int = 0

    def pack(self) -> _Bytes:
        return _HttpCountKey.pack(self.src_identity, self.dst_identity, self.rule, self.set, self.status_class, self.folded)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "HttpCountKey":
        v = _HttpCountKey.unpack(raw)
        return cls(v[0], v[1], v[2], v[3], v[4], v[5])


_HttpEvent = Struct("=QQ16s16sHHHHIIBBBB16s64s128sBBB1x")


class HttpEvent(NamedTuple):
    time_ns: int = 0
    duration_ns: int = 0
    src: _Bytes = _Bytes(16)
    dst: _Bytes = _Bytes(16)
    sport: int = 0
    dport: int = 0
    set: int = 0
    status: int = 0
    rule: int = 0
    path_length: int = 0
    refusal: int = 0
    method_length: int = 0
    host_length: int = 0
    seen: int = 0
    method: _Bytes = _Bytes(16)
    host: _Bytes = _Bytes(64)
    path: _Bytes = _Bytes(128)
    denied: int = 0
    kind: int = 0
    grpc: int = 0

    def pack(self) -> _Bytes:
        return _HttpEvent.pack(self.time_ns, self.duration_ns, self.src, self.dst, _be16(self.sport), _be16(self.dport), self.set, self.status, self.rule, self.path_length, self.refusal, self.method_length, self.host_length, self.seen, self.method, self.host, self.path, self.denied, self.kind, self.grpc)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "HttpEvent":
        v = _HttpEvent.unpack(raw)
        return cls(v[0], v[1], v[2], v[3], _be16(v[4]), _be16(v[5]), v[6], v[7], v[8], v[9], v[10], v[11], v[12], v[13], v[14], v[15], v[16], v[17], v[18], v[19])


_HttpHeader = Struct("=II")


class HttpHeader(NamedTuple):
    met: int = 0
    of_name: int = 0

    def pack(self) -> _Bytes:
        return _HttpHeader.pack(self.met, self.of_name)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "HttpHeader":
        v = _HttpHeader.unpack(raw)
        return cls(v[0], v[1])


_HttpHeld = Struct("=I16384s")


class HttpHeld(NamedTuple):
    size: int = 0
    bytes: _Bytes = _Bytes(16384)

    def pack(self) -> _Bytes:
        return _HttpHeld.pack(self.size, self.bytes)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "HttpHeld":
        v = _HttpHeld.unpack(raw)
        return cls(v[0], v[1])


_HttpTalk = Struct("=QIIIIIIIHBBBBB5x376s")


class HttpTalk(NamedTuple):
    asked_ns: int = 0
    epoch: int = 0
    src_identity: int = 0
    dst_identity: int = 0
    next: int = 0
    answer: int = 0
    rule: int = 0
    passed: int = 0
    set: int = 0
    waiting: int = 0
    told: int = 0
    lost: int = 0
    blind: int = 0
    kind: int = 0
    http: HttpStream = HttpStream()

    def pack(self) -> _Bytes:
        return _HttpTalk.pack(self.asked_ns, self.epoch, self.src_identity, self.dst_identity, self.next, self.answer, self.rule, self.passed, self.set, self.waiting, self.told, self.lost, self.blind, self.kind, self.http.pack())

    @classmethod
    def unpack(cls, raw: _Bytes) -> "HttpTalk":
        v = _HttpTalk.unpack(raw)
        return cls(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12], v[13], HttpStream.unpack(v[14]))


_HttpJudged = Struct("=424s40sQQIIIIIIIIIII1024sHHBBBBB3x")


class HttpJudged(NamedTuple):
    talk: HttpTalk = HttpTalk()
    key: CtKey = CtKey()
    cookie: int = 0
    spoke_ns: int = 0
    given: int = 0
    acked: int = 0
    content: int = 0
    content_end: int = 0
    lines: int = 0
    sent: int = 0
    written: int = 0
    swallowed: int = 0
    busy: int = 0
    recent: int = 0
    recent_size: int = 0
    last: _Bytes = _Bytes(1024)
    window: int = 0
    status: int = 0
    end: int = 0
    stuck: int = 0
    closing: int = 0
    joined: int = 0
    gone: int = 0

    def pack(self) -> _Bytes:
        return _HttpJudged.pack(self.talk.pack(), self.key.pack(), self.cookie, self.spoke_ns, self.given, self.acked, self.content, self.content_end, self.lines, self.sent, self.written, self.swallowed, self.busy, self.recent, self.recent_size, self.last, self.window, self.status, self.end, self.stuck, self.closing, self.joined, self.gone)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "HttpJudged":
        v = _HttpJudged.unpack(raw)
        return cls(HttpTalk.unpack(v[0]), CtKey.unpack(v[1]), v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12], v[13], v[14], v[15], v[16], v[17], v[18], v[19], v[20], v[21], v[22])


_HttpLines = Struct("=I32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s32s")


class HttpLines(NamedTuple):
    total: int = 0
    line: Tuple[HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine, HttpChunkLine] = (HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine(), HttpChunkLine())

    def pack(self) -> _Bytes:
        return _HttpLines.pack(self.total, self.line[0].pack(), self.line[1].pack(), self.line[2].pack(), self.line[3].pack(), self.line[4].pack(), self.line[5].pack(), self.line[6].pack(), self.line[7].pack(), self.line[8].pack(), self.line[9].pack(), self.line[10].pack(), self.line[11].pack(), self.line[12].pack(), self.line[13].pack(), self.line[14].pack(), self.line[15].pack(), self.line[16].pack(), self.line[17].pack(), self.line[18].pack(), self.line[19].pack(), self.line[20].pack(), self.line[21].pack(), self.line[22].pack(), self.line[23].pack(), self.line[24].pack(), self.line[25].pack(), self.line[26].pack(), self.line[27].pack(), self.line[28].pack(), self.line[29].pack(), self.line[30].pack(), self.line[31].pack(), self.line[32].pack(), self.line[33].pack(), self.line[34].pack(), self.line[35].pack(), self.line[36].pack(), self.line[37].pack(), self.line[38].pack(), self.line[39].pack(), self.line[40].pack(), self.line[41].pack(), self.line[42].pack(), self.line[43].pack(), self.line[44].pack(), self.line[45].pack(), self.line[46].pack(), self.line[47].pack(), self.line[48].pack(), self.line[49].pack(), self.line[50].pack(), self.line[51].pack(), self.line[52].pack(), self.line[53].pack(), self.line[54].pack(), self.line[55].pack(), self.line[56].pack(), self.line[57].pack(), self.line[58].pack(), self.line[59].pack(), self.line[60].pack(), self.line[61].pack(), self.line[62].pack(), self.line[63].pack())

    @classmethod
    def unpack(cls, raw: _Bytes) -> "HttpLines":
        v = _HttpLines.unpack(raw)
        return cls(v[0], (HttpChunkLine.unpack(v[1]), HttpChunkLine.unpack(v[2]), HttpChunkLine.unpack(v[3]), HttpChunkLine.unpack(v[4]), HttpChunkLine.unpack(v[5]), HttpChunkLine.unpack(v[6]), HttpChunkLine.unpack(v[7]), HttpChunkLine.unpack(v[8]), HttpChunkLine.unpack(v[9]), HttpChunkLine.unpack(v[10]), HttpChunkLine.unpack(v[11]), HttpChunkLine.unpack(v[12]), HttpChunkLine.unpack(v[13]), HttpChunkLine.unpack(v[14]), HttpChunkLine.unpack(v[15]), HttpChunkLine.unpack(v[16]), HttpChunkLine.unpack(v[17]), HttpChunkLine.unpack(v[18]), HttpChunkLine.unpack(v[19]), HttpChunkLine.unpack(v[20]), HttpChunkLine.unpack(v[21]), HttpChunkLine.unpack(v[22]), HttpChunkLine.unpack(v[23]), HttpChunkLine.unpack(v[24]), HttpChunkLine.unpack(v[25]), HttpChunkLine.unpack(v[26]), HttpChunkLine.unpack(v[27]), HttpChunkLine.unpack(v[28]), HttpChunkLine.unpack(v[29]), HttpChunkLine.unpack(v[30]), HttpChunkLine.unpack(v[31]), HttpChunkLine.unpack(v[32]), HttpChunkLine.unpack(v[33]), HttpChunkLine.unpack(v[34]), HttpChunkLine.unpack(v[35]), HttpChunkLine.unpack(v[36]), HttpChunkLine.unpack(v[37]), HttpChunkLine.unpack(v[38]), HttpChunkLine.unpack(v[39]), HttpChunkLine.unpack(v[40]), HttpChunkLine.unpack(v[41]), HttpChunkLine.unpack(v[42]), HttpChunkLine.unpack(v[43]), HttpChunkLine.unpack(v[44]), HttpChunkLine.unpack(v[45]), HttpChunkLine.unpack(v[46]), HttpChunkLine.unpack(v[47]), HttpChunkLine.unpack(v[48]), HttpChunkLine.unpack(v[49]), HttpChunkLine.unpack(v[50]), HttpChunkLine.unpack(v[51]), HttpChunkLine.unpack(v[52]), HttpChunkLine.unpack(v[53]), HttpChunkLine.unpack(v[54]), HttpChunkLine.unpack(v[55]), HttpChunkLine.unpack(v[56]), HttpChunkLine.unpack(v[57]), HttpChunkLine.unpack(v[58]), HttpChunkLine.unpack(v[59]), HttpChunkLine.unpack(v[60]), HttpChunkLine.unpack(v[61]), HttpChunkLine.unpack(v[62]), HttpChunkLine.unpack(v[63]), HttpChunkLine.unpack(v[64])))


_HttpRule = Struct("=I4x88s88s88s88s88s88s88s88s")


class HttpRule(NamedTuple):
    choices: int = 0
    choice: Tuple[HttpChoice, HttpChoice, HttpChoice, HttpChoice, HttpChoice, HttpChoice, HttpChoice, HttpChoice] = (HttpChoice(), HttpChoice(), HttpChoice(), HttpChoice(), HttpChoice(), HttpChoice(), HttpChoice(), HttpChoice())

    def pack(self) -> _Bytes:
        return _HttpRule.pack(self.choices, self.choice[0].pack(), self.choice[1].pack(), self.choice[2].pack(), self.choice[3].pack(), self.choice[4].pack(), self.choice[5].pack(), self.choice[6].pack(), self.choice[7].pack())

    @classmethod
    def unpack(cls, raw: _Bytes) -> "HttpRule":
        v = _HttpRule.unpack(raw)
        return cls(v[0], (HttpChoice.unpack(v[1]), HttpChoice.unpack(v[2]), HttpChoice.unpack(v[3]), HttpChoice.unpack(v[4]), HttpChoice.unpack(v[5]), HttpChoice.unpack(v[6]), HttpChoice.unpack(v[7]), HttpChoice.unpack(v[8])))


_HttpRuleKey = Struct("=II128s")


class HttpRuleKey(NamedTuple):
    prefixlen: int = 0
    set: int = 0
    path: _Bytes = _Bytes(128)

    def pack(self) -> _Bytes:
        return _HttpRuleKey.pack(self.prefixlen, self.set, self.path)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "HttpRuleKey":
        v = _HttpRuleKey.unpack(raw)
        return cls(v[0], v[1], v[2])


_IpcacheEntry = Struct("=II16s")


class IpcacheEntry(NamedTuple):
    identity: int = 0
    flags: int = 0
    node: _Bytes = _Bytes(16)

    def pack(self) -> _Bytes:
        return _IpcacheEntry.pack(self.identity, self.flags, self.node)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "IpcacheEntry":
        v = _IpcacheEntry.unpack(raw)
        return cls(v[0], v[1], v[2])


_IpcacheKey = Struct("=I16s")


class IpcacheKey(NamedTuple):
    prefixlen: int = 0
    addr: _Bytes = _Bytes(16)

    def pack(self) -> _Bytes:
        return _IpcacheKey.pack(self.prefixlen, self.addr)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "IpcacheKey":
        v = _IpcacheKey.unpack(raw)
        return cls(v[0], v[1])


_Learned = Struct("=QQQQQQQQQQQQQQQQ")


class Learned(NamedTuple):
    name: Tuple[int, int, int, int, int, int, int, int] = (0, 0, 0, 0, 0, 0, 0, 0)
    expires_ns: Tuple[int, int, int, int, int, int, int, int] = (0, 0, 0, 0, 0, 0, 0, 0)

    def pack(self) -> _Bytes:
        return _Learned.pack(self.name[0], self.name[1], self.name[2], self.name[3], self.name[4], self.name[5], self.name[6], self.name[7], self.expires_ns[0], self.expires_ns[1], self.expires_ns[2], self.expires_ns[3], self.expires_ns[4], self.expires_ns[5], self.expires_ns[6], self.expires_ns[7])

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Learned":
        v = _Learned.unpack(raw)
        return cls((v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]), (v[8], v[9], v[10], v[11], v[12], v[13], v[14], v[15]))


_LearnedKey = Struct("=16sI")


class LearnedKey(NamedTuple):
    addr: _Bytes = _Bytes(16)
    ifindex: int = 0

    def pack(self) -> _Bytes:
        return _LearnedKey.pack(self.addr, self.ifindex)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "LearnedKey":
        v = _LearnedKey.unpack(raw)
        return cls(v[0], v[1])


_NatEntry = Struct("=16s16sHHIQQ")


class NatEntry(NamedTuple):
    src: _Bytes = _Bytes(16)
    dst: _Bytes = _Bytes(16)
    sport: int = 0
    dport: int = 0
    flags: int = 0
    last_seen_ns: int = 0
    backend: int = 0

    def pack(self) -> _Bytes:
        return _NatEntry.pack(self.src, self.dst, _be16(self.sport), _be16(self.dport), self.flags, self.last_seen_ns, self.backend)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "NatEntry":
        v = _NatEntry.unpack(raw)
        return cls(v[0], v[1], _be16(v[2]), _be16(v[3]), v[4], v[5], v[6])


_NatKey = Struct("=16s16sHHB3x")


class NatKey(NamedTuple):
    src: _Bytes = _Bytes(16)
    dst: _Bytes = _Bytes(16)
    sport: int = 0
    dport: int = 0
    proto: int = 0

    def pack(self) -> _Bytes:
        return _NatKey.pack(self.src, self.dst, _be16(self.sport), _be16(self.dport), self.proto)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "NatKey":
        v = _NatKey.unpack(raw)
        return cls(v[0], v[1], _be16(v[2]), _be16(v[3]), v[4])


_NumberKey = Struct("=I264s")


class NumberKey(NamedTuple):
    ifindex: int = 0
    known: KnownName = KnownName()

    def pack(self) -> _Bytes:
        return _NumberKey.pack(self.ifindex, self.known.pack())

    @classmethod
    def unpack(cls, raw: _Bytes) -> "NumberKey":
        v = _NumberKey.unpack(raw)
        return cls(v[0], KnownName.unpack(v[1]))


_PolicyEntry = Struct("=IIIHH")


class PolicyEntry(NamedTuple):
    rule: int = 0
    action: int = 0
    audit_rule: int = 0
    proxy: int = 0
    flags: int = 0

    def pack(self) -> _Bytes:
        return _PolicyEntry.pack(self.rule, self.action, self.audit_rule, _be16(self.proxy), self.flags)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "PolicyEntry":
        v = _PolicyEntry.unpack(raw)
        return cls(v[0], v[1], v[2], _be16(v[3]), v[4])


_PolicyKey = Struct("=IQIB1xH")


class PolicyKey(NamedTuple):
    prefixlen: int = 0
    set: int = 0
    peer: int = 0
    proto: int = 0
    port: int = 0

    def pack(self) -> _Bytes:
        return _PolicyKey.pack(self.prefixlen, self.set, self.peer, self.proto, _be16(self.port))

    @classmethod
    def unpack(cls, raw: _Bytes) -> "PolicyKey":
        v = _PolicyKey.unpack(raw)
        return cls(v[0], v[1], v[2], v[3], _be16(v[4]))


_ServiceKey = Struct("=16sHB1x")


class ServiceKey(NamedTuple):
    addr: _Bytes = _Bytes(16)
    port: int = 0
    proto: int = 0

    def pack(self) -> _Bytes:
        return _ServiceKey.pack(self.addr, _be16(self.port), self.proto)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "ServiceKey":
        v = _ServiceKey.unpack(raw)
        return cls(v[0], _be16(v[1]), v[2])


_ShortKey = Struct("=40sI")


class ShortKey(NamedTuple):
    connection: CtKey = CtKey()
    end: int = 0

    def pack(self) -> _Bytes:
        return _ShortKey.pack(self.connection.pack(), self.end)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "ShortKey":
        v = _ShortKey.unpack(raw)
        return cls(CtKey.unpack(v[0]), v[1])


_ShortPair = Struct("=QQIIIIII")


class ShortPair(NamedTuple):
    sock: Tuple[int, int] = (0, 0)
    end: Tuple[int, int] = (0, 0)
    packets: Tuple[int, int] = (0, 0)
    drained: Tuple[int, int] = (0, 0)

    def pack(self) -> _Bytes:
        return _ShortPair.pack(self.sock[0], self.sock[1], self.end[0], self.end[1], self.packets[0], self.packets[1], self.drained[0], self.drained[1])

    @classmethod
    def unpack(cls, raw: _Bytes) -> "ShortPair":
        v = _ShortPair.unpack(raw)
        return cls((v[0], v[1]), (v[2], v[3]), (v[4], v[5]), (v[6], v[7]))


_ShortSender = Struct("=44sIQQII")


class ShortSender(NamedTuple):
    key: ShortKey = ShortKey()
    epoch: int = 0
    other: int = 0
    looked_ns: int = 0
    pieces: int = 0
    end: int = 0

    def pack(self) -> _Bytes:
        return _ShortSender.pack(self.key.pack(), self.epoch, self.other, self.looked_ns, self.pieces, self.end)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "ShortSender":
        v = _ShortSender.unpack(raw)
        return cls(ShortKey.unpack(v[0]), v[1], v[2], v[3], v[4], v[5])


_SlotKey = Struct("=QI4x")


class SlotKey(NamedTuple):
    table: int = 0
    position: int = 0

    def pack(self) -> _Bytes:
        return _SlotKey.pack(self.table, self.position)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "SlotKey":
        v = _SlotKey.unpack(raw)
        return cls(v[0], v[1])


_SockNat = Struct("=16sH2x")


class SockNat(NamedTuple):
    addr: _Bytes = _Bytes(16)
    port: int = 0

    def pack(self) -> _Bytes:
        return _SockNat.pack(self.addr, _be16(self.port))

    @classmethod
    def unpack(cls, raw: _Bytes) -> "SockNat":
        v = _SockNat.unpack(raw)
        return cls(v[0], _be16(v[1]))


_SockNatKey = Struct("=Q16sH2x4x")


class SockNatKey(NamedTuple):
    cookie: int = 0
    addr: _Bytes = _Bytes(16)
    port: int = 0

    def pack(self) -> _Bytes:
        return _SockNatKey.pack(self.cookie, self.addr, _be16(self.port))

    @classmethod
    def unpack(cls, raw: _Bytes) -> "SockNatKey":
        v = _SockNatKey.unpack(raw)
        return cls(v[0], v[1], _be16(v[2]))


_SourceRange = Struct("=4x")


class SourceRange(NamedTuple):

    def pack(self) -> _Bytes:
        return _SourceRange.pack()

    @classmethod
    def unpack(cls, raw: _Bytes) -> "SourceRange":
        v = _SourceRange.unpack(raw)
        return cls()


_SourceRangeKey = Struct("=II16s")


class SourceRangeKey(NamedTuple):
    prefixlen: int = 0
    service: int = 0
    client: _Bytes = _Bytes(16)

    def pack(self) -> _Bytes:
        return _SourceRangeKey.pack(self.prefixlen, self.service, self.client)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "SourceRangeKey":
        v = _SourceRangeKey.unpack(raw)
        return cls(v[0], v[1], v[2])


_State = Struct("=IIIHH16s16sQI4x16s16s")


class State(NamedTuple):
    epoch: int = 0
    flags: int = 0
    overlay_ifindex: int = 0
    nat_port_first: int = 0
    nat_port_last: int = 0
    node_4: _Bytes = _Bytes(16)
    node_6: _Bytes = _Bytes(16)
    proxy_cgroup: int = 0
    proxy_level: int = 0
    self_4: _Bytes = _Bytes(16)
    self_6: _Bytes = _Bytes(16)

    def pack(self) -> _Bytes:
        return _State.pack(self.epoch, self.flags, self.overlay_ifindex, self.nat_port_first, self.nat_port_last, self.node_4, self.node_6, self.proxy_cgroup, self.proxy_level, self.self_4, self.self_6)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "State":
        v = _State.unpack(raw)
        return cls(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10])


_Wire = Struct("=6s6sI")


class Wire(NamedTuple):
    workload: _Bytes = _Bytes(6)
    node: _Bytes = _Bytes(6)
    bridge: int = 0

    def pack(self) -> _Bytes:
        return _Wire.pack(self.workload, self.node, self.bridge)

    @classmethod
    def unpack(cls, raw: _Bytes) -> "Wire":
        v = _Wire.unpack(raw)
        return cls(v[0], v[1], v[2])


class MapSpec(NamedTuple):
    """`kind` is the BPF_MAP_TYPE; sizes are in bytes."""

    kind: int
    key_size: int
    value_size: int
    max_entries: int


MAPS = {
    "affinity": MapSpec(9, 24, 16, 65536),
    "backends": MapSpec(1, 8, 24, 524288),
    "bandwidth": MapSpec(1, 8, 16, 65536),
    "buckets": MapSpec(9, 8, 16, 8192),
    "conntrack": MapSpec(9, 40, 48, 262144),
    "dns_asked": MapSpec(1, 44, 280, 32768),
    "dns_asked_at": MapSpec(1, 8, 44, 34816),
    "dns_learned": MapSpec(1, 20, 128, 131072),
    "dns_learned_at": MapSpec(1, 8, 16, 131072),
    "dns_names": MapSpec(1, 8, 280, 65536),
    "dns_numbers": MapSpec(1, 268, 8, 65536),
    "dns_rules": MapSpec(1, 4, 4, 65536),
    "dns_talks": MapSpec(1, 44, 10304, 2048),
    "egress_gateway": MapSpec(11, 36, 40, 65536),
    "endpoints": MapSpec(1, 16, 48, 524288),
    "events": MapSpec(27, 0, 0, 4194304),
    "events_lost": MapSpec(6, 4, 8, 1),
    "fqdns": MapSpec(11, 260, 260, 131072),
    "fragments": MapSpec(9, 44, 4, 8192),
    "globs": MapSpec(1, 4, 536, 8192),
    "gone": MapSpec(1, 24, 8, 65536),
    "h2_fields": MapSpec(9, 16, 132, 16384),
    "h2_requests": MapSpec(9, 16, 280, 4096),
    "h2_talks": MapSpec(9, 40, 2712, 2048),
    "hearers": MapSpec(1, 4, 104, 16384),
    "hellos": MapSpec(9, 40, 216, 1024),
    "homes": MapSpec(1, 4, 4, 16384),
    "http_counts": MapSpec(5, 16, 208, 4096),
    "http_headers": MapSpec(1, 100, 8, 16384),
    "http_heads": MapSpec(1, 40, 16388, 4096),
    "http_lines": MapSpec(1, 40, 2052, 4096),
    "http_rules": MapSpec(11, 136, 712, 131072),
    "ipcache": MapSpec(11, 20, 24, 65536),
    "nat": MapSpec(9, 40, 56, 262144),
    "policy": MapSpec(11, 20, 16, 524288),
    "questions": MapSpec(27, 0, 0, 1048576),
    "reasons": MapSpec(6, 4, 16, 95),
    "requests": MapSpec(27, 0, 0, 1048576),
    "rules": MapSpec(5, 4, 16, 65536),
    "services": MapSpec(1, 20, 64, 262144),
    "short_ends": MapSpec(6, 4, 16, 11),
    "short_senders": MapSpec(24, 4, 72, 0),
    "short_sockets": MapSpec(18, 44, 4, 32768),
    "shorts": MapSpec(9, 40, 40, 16384),
    "slots": MapSpec(1, 16, 40, 1048576),
    "sock_nat": MapSpec(9, 32, 20, 131072),
    "source_ranges": MapSpec(11, 24, 4, 16384),
    "state": MapSpec(2, 4, 96, 1),
    "streams": MapSpec(1, 40, 1560, 65536),
    "talks": MapSpec(9, 40, 424, 16384),
    "wires": MapSpec(1, 4, 16, 65536),
}


ABI_HASH = "d31a13556c46b2a0"
