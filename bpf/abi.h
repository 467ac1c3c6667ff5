/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The border between kernel and agent: every struct, enum and limit that crosses it.
 * src/tulle/abi/_generated.py is made from this file's BTF by `./run abi`.
 *
 * Rules: no implicit padding (generation fails on a hole), __beNN for network order,
 * addresses are 128 bit with IPv4 mapped into ::ffff:0:0/96 (RFC 4291, 2.5.5.2).
 */
#pragma once

#include <linux/types.h>

/* Sizes are load-time defaults; the loader may change them before maps are created. */
enum limit {
	LIMIT_ENDPOINTS = 524288,
	LIMIT_IPCACHE = 65536,
	LIMIT_POLICY = 524288,
	LIMIT_SERVICES = 262144,
	LIMIT_SLOTS = 1048576,
	LIMIT_BACKENDS = 524288,
	LIMIT_SOURCE_RANGES = 16384,
	LIMIT_EGRESS_GATEWAY = 65536,
	LIMIT_AFFINITY = 65536,
	LIMIT_SOCK_NAT = 131072,
	LIMIT_CONNTRACK = 262144,
	LIMIT_NAT = 262144,
	LIMIT_FRAGMENTS = 8192,
	LIMIT_GONE = 65536,
	LIMIT_WIRES = 65536,
	LIMIT_BANDWIDTH = 65536,
	LIMIT_BUCKETS = 8192,
	LIMIT_RULES = 65536,
	LIMIT_FQDNS = 131072,
	LIMIT_GLOBS = 8192,
	LIMIT_DNS_RULES = 65536,
	LIMIT_HEARERS = 16384,
	LIMIT_LEARNED = 131072,
	LIMIT_NAMES = 65536,
	LIMIT_ASKED = 32768,
	LIMIT_DNS_TALKS = 2048,
	LIMIT_HTTP_RULES = 131072,
	LIMIT_HTTP_HEADERS = 16384,
	LIMIT_STREAMS = 65536,
	LIMIT_HTTP_HEADS = 4096,
	LIMIT_HTTP_LINES = 4096,
	LIMIT_TALKS = 16384,
	LIMIT_HTTP_COUNTS = 4096,
	LIMIT_HELLOS = 1024,
	LIMIT_H2_TALKS = 2048,
	LIMIT_H2_REQUESTS = 4096,
	LIMIT_H2_FIELDS = 16384,
	LIMIT_SHORTS = 16384,
	LIMIT_HOMES = 16384,
	LIMIT_EVENT_BYTES = 4194304,
	LIMIT_REQUEST_BYTES = 1048576,
	LIMIT_QUESTION_BYTES = 1048576,
};

/* Why a packet or a connect() passed or fell. From REASON_DROP on it fell. */
enum reason {
	REASON_ALLOWED = 1,	/* first packet of a connection, a rule allowed it */
	REASON_ESTABLISHED = 2, /* later packet of an allowed connection, either direction */
	REASON_RELATED = 3,	/* ICMP error about an allowed connection */
	REASON_LINK_LOCAL = 4,	/* ARP, neighbour discovery: between workload and node only */
	REASON_TRANSLATED = 5,	/* connect() or sendmsg() to a service got a backend */
	REASON_FORWARDED = 6,	/* passes this node on its way between two others */
	REASON_NODE = 7,	/* between the node itself and others, no host policy */
	REASON_PROXIED = 8,	/* opens a connection to an address of the node's proxy */
	REASON_SHORT = 9,	/* bytes of an allowed connection, from socket to socket */
	REASON_POLICY_DENIED = 64,
	REASON_DROP = 64,		  /* the first of them */
	REASON_SPOOFED_SOURCE = 65,	  /* source address is not the workload's own */
	REASON_MALFORMED = 66,		  /* headers that do not parse */
	REASON_UNSUPPORTED_PROTOCOL = 67, /* not IPv4/IPv6, or an extension header we refuse */
	REASON_FRAGMENT_UNTRACKED = 68,	  /* later fragment whose first one was not seen */
	REASON_ICMP_UNRELATED = 69,	  /* ICMP error about no connection we know */
	REASON_NO_BACKEND = 70,		  /* service without a ready endpoint */
	REASON_NO_SERVICE_PORT = 71,	  /* packet to a service address on a port it has not */
	REASON_NO_POLICY = 72,		  /* policy set missing from the map: fail closed */
	REASON_NO_ENDPOINT = 73,	  /* interface of no known workload */
	REASON_CONNTRACK_FULL = 74,	  /* kernel could not store the connection */
	REASON_UNSOLICITED_REPLY = 75,	  /* TCP SYN+ACK that answers no SYN we saw */
	REASON_SPOOFED_TUNNEL = 76,	  /* sent by a node that the source does not live on */
	REASON_NAT_PORTS_EXHAUSTED = 77,  /* no free source port towards that destination */
	REASON_NAT_FULL = 78,		  /* kernel could not store the translation */
	REASON_NAT_UNSUPPORTED = 79,	  /* headers between IP and transport, or no ports */
	REASON_NO_ROUTE = 80,		  /* the node has no way there */
	REASON_SOURCE_RANGE = 81,	  /* outside the service's loadBalancerSourceRanges */
	REASON_NO_GATEWAY = 82,		  /* egress gateway policy whose gateway is not there */
	REASON_NO_PROXY = 83,		  /* the node's proxy has no socket for it */
	REASON_OTHER_RULES = 84,    /* other L7 rules than those it was opened under judge it */
	REASON_OVER_BANDWIDTH = 85, /* more than the workload's bandwidth lets through */
	REASON_DNS_REFUSED = 86,    /* a question that no DNS rule allows: answered REFUSED */
	REASON_DNS_UNREADABLE = 87, /* under DNS rules, but no plain question of one packet */
	REASON_DNS_PROTOCOL = 88,   /* under DNS rules, by neither UDP nor TCP */
	REASON_NOT_HELD = 89, /* HTTP that was not followed from its first byte: accepted before, or
				 no room */
	REASON_HTTP_CUT = 90, /* behind a request that was refused: the connection has ended */
	REASON_BEHIND = 91, /* sent again until its reader has read what came past the interface */
	REASON_HTTP_KEPT = 92, /* part of a head, until the rest has come */
	REASON_HTTP_REFUSED =
		93, /* a request that no rule allows, or that cannot be read: answered */
	REASON_HTTP_ORDER =
		94, /* requests that come again or too soon: their client sends them again */
	REASON_MAX = 95,
};

/* Numeric identities below this are the same on every node. */
enum identity {
	IDENTITY_ANY = 0,	  /* in a policy key: whoever */
	IDENTITY_HOST = 1,	  /* this node */
	IDENTITY_WORLD = 2,	  /* outside of the mesh, in no block that a policy names */
	IDENTITY_UNMANAGED = 3,	  /* in a node's pod range, but not (or no longer) known */
	IDENTITY_REMOTE_NODE = 6, /* another node, in no block that a policy names */
	IDENTITY_INGRESS = 8,	  /* a node's proxy, for clients from outside of the mesh */
	IDENTITY_SERVICE = 16,	  /* a service's own address, which no packet should carry */
	IDENTITY_FIRST = 256,
};

/* Rules that exist without any policy. */
enum rule_id {
	RULE_NONE = 0,
	RULE_NOT_ISOLATED = 1, /* no policy selects the workload in this direction */
	RULE_HOST = 2,	       /* a pod's own node always reaches it, and it the node */
	RULE_SELF = 3,	       /* a workload always reaches itself, also through the proxy */
	RULE_FIRST = 256,
};

enum action {
	ACTION_ALLOW = 1,
	ACTION_DENY = 2,
	ACTION_REJECT =
		3, /* deny, and tell the sender: TCP RST or ICMP administratively prohibited */
	ACTION_ANSWER = 4, /* the packet has become an answer to its sender */
};

/* Where a packet or call was judged. */
enum hook {
	HOOK_FROM_WORKLOAD = 1,
	HOOK_TO_WORKLOAD = 2,
	HOOK_SOCKET = 3,
	HOOK_FROM_UPLINK = 4,
	HOOK_TO_UPLINK = 5,
	HOOK_FROM_OVERLAY = 6,
	HOOK_TO_OVERLAY = 7,
	HOOK_STREAM = 8,
};

enum policy_set {
	POLICY_SET_OPEN = 0, /* not isolated: no look-up */
	POLICY_SET_FIRST = 1,
};

/* Prefix lengths of policy_key after its own length field: set and peer always count. */
enum policy_prefix {
	POLICY_PREFIX_ANY = 96,	  /* every protocol and port */
	POLICY_PREFIX_PORT = 112, /* protocol fixed; plus 0..16 leading bits of the port */
	POLICY_PREFIX_FULL = 128,
};

/*
 * Of a packet on its way through this node; scrubbed when it changes namespace. The lower half of
 * the last two is the port of a listener for L7 rules, or 0.
 */
enum mark {
	MARK_DONE = 0x74756c01,	  /* a packet program is through with it */
	MARK_LOCAL = 0x74756c02,  /* the node's stack takes it, whatever its address */
	MARK_ANSWER = 0x74756c03, /* an answer to what the node's own process sent */
	MARK_PROXY = 0x74700000,  /* socket option of the proxy's: rules that it has enforced */
	MARK_TURNED = 0x74710000, /* on its way out it was found to be for the proxy */
};
#define MARK_KIND 0xffff0000

/*
 * Where the proxy listens for L7 rules, the port being their number: the dummy address of RFC 7600
 * and one of the prefix that RFC 6666 sets aside to discard. No route leads there.
 */
#define PROXY_4 0xc0000008	 /* 192.0.0.8 */
#define PROXY_6_FIRST 0x01000000 /* 100::8, its first and last word */
#define PROXY_6_LAST 8

/* Every workload's interface, and the node's side of every pair. */
#define WORKLOAD_MAC 0x02, 0x74, 0x75, 0x6c, 0x6c, 0x02
#define NODE_MAC 0x02, 0x74, 0x75, 0x6c, 0x6c, 0x01

/* Of an interface that another made; keyed by the node's side. */
struct wire {
	__u8 workload[6];
	__u8 node[6];
	__u32 bridge; /* that the node's side is a port of, or 0 */
};

struct addr {
	__be32 word[4];
};

/* What an address of the mesh is. */
enum endpoint_flag {
	ENDPOINT_WORKLOAD = 1, /* of this node: has an interface, its policy is judged here */
	ENDPOINT_HOST = 2,     /* this node itself; its sets are the host firewall */
	ENDPOINT_REMOTE = 4,   /* a workload of another node */
	ENDPOINT_NODE = 8,     /* another node itself */
	ENDPOINT_INGRESS = 16, /* a node's proxy, for clients from outside; local or remote */
	ENDPOINT_WATCHED = 32, /* of this node: its HTTP is told of without a policy, too */
};

struct endpoint {
	__u32 ifindex; /* ENDPOINT_WORKLOAD: node's side of the veth pair; else 0 */
	__u32 identity;
	__u32 flags; /* enum endpoint_flag */
	__u32 vni;   /* 24 bits of a digest of its labels, the same on every node */
	__u64 ingress_set;
	__u64 egress_set;
	struct addr node; /* underlay address of the node that it lives on; zero if here */
};

struct ipcache_key {
	__u32 prefixlen; /* 0..128 */
	struct addr addr;
};

enum ipcache_flag {
	IPCACHE_NO_MASQUERADE =
		1, /* the source address stays, though this is outside of the mesh */
};

/* Addresses that are no endpoint. */
struct ipcache_entry {
	__u32 identity;
	__u32 flags;	  /* enum ipcache_flag */
	struct addr node; /* whose pod range this is; zero if nobody's */
};

/* So that it stands after a prefix length without a hole. */
typedef __u64 __u64_a4 __attribute__((aligned(4)));

struct policy_key {
	__u32 prefixlen; /* enum policy_prefix */
	__u64_a4 set;
	__u32 peer; /* identity, or IDENTITY_ANY */
	__u8 proto;
	__u8 pad;
	__be16 port;
};

/* A peer that has entries in a set has one that covers every protocol and port. */
struct policy_entry {
	__u32 rule;
	__u32 action;
	__u32 audit_rule; /* what would deny if no policy were in audit mode; RULE_NONE: nothing */
	__be16 proxy;	  /* number of the L7 rules that judge further; 0: none */
	__u16 flags;	  /* enum policy_flag */
};

/*
 * A set's peers may also be selectors of names. Their entries hold only for addresses outside of
 * the mesh that a workload has learnt under such a name, and only where the address's own entry
 * asks.
 */
enum policy_flag {
	POLICY_NAMES = 1,	/* names may allow what this does not, or not wholly */
	POLICY_AUDIT_NAMES = 2, /* names may allow what audit_rule would deny */
	POLICY_DNS = 4,		/* `proxy` are DNS rules, which are judged in the kernel */
	POLICY_HELD = 16,	/* `proxy` are HTTP rules, which are judged in packets */
	POLICY_AUDITED = 8,	/* of a name: allows only beside audit_rule */
};

enum name_limit {
	NAME_TEXT = 256,      /* RFC 1035, 3.1: 255 bytes on the wire */
	NAME_SUFFIX = 244,    /* of a selector: the kernel's tries have keys of 256 bytes */
	NAME_CANDIDATES = 32, /* selectors of one scope that a suffix may need to be tried */
	NAME_GLOB = 63,	      /* characters of a pattern left of its plain labels, without `*` */
	NAME_SYMBOLS = 64,    /* room for a-z, 0-9, hyphen, underscore, dot, as a power of two */
	NAME_OF_ADDRESS = 8,  /* names that a workload knows an address by */
	NAME_MESSAGE = 4096,  /* bytes of a message that is read */
	NAME_ADDRESSES = 128, /* of one answer that are learnt */
	NAME_RECORDS = 256,
	NAME_POINTERS = 16, /* that one name may follow */
	NAME_FLOOR_S = 60,  /* the least time to live */
	NAME_CEILING_S = 86400,
	NAME_GRACE_S = 60,	  /* beyond it, for those who are slow to connect */
	NAME_ASKED_S = 30,	  /* how long an answer is waited for */
	NAME_SELECTOR = 16777216, /* the first: no identity is as large */
	NAME_TOLD = 16,		  /* addresses of an answer that are told of */
	NAME_RECENT = 1024,	  /* bytes that were asked by TCP, should they come again */
	NAME_STUCK = 16,	  /* segments of a connection that come too soon, one by one */
	NAME_IDLE_S = 120,	  /* after which a connection gives way if there is no room */
};

/* Of each workload: what comes next takes the place of its own oldest. Powers of two. */
enum hearer_limit {
	HEARER_NAMES = 512,
	HEARER_ADDRESSES = 1024,
	HEARER_QUESTIONS = 256,
	HEARER_TALKS = 16, /* connections to resolvers */
	HEARER_TOLD = 128, /* of what it asks in a second; and as many that are denied */
};

/* Lower case, back to front, each label followed by a dot: `moc.elpmaxe.`, and zeros. */
struct dns_text {
	__u8 byte[NAME_TEXT];
};

struct dns_name {
	__u32 bits;
	struct dns_text text;
};

enum name_scope {
	SCOPE_SET = 1,	 /* of a policy set */
	SCOPE_RULES = 2, /* of DNS rules, by their number */
};

/* The key of a trie, in which a suffix of a name is a prefix. Nobody's names are in another's way.
 */
struct fqdn_key {
	__u32 bits;
	__u32 kind; /* enum name_scope */
	__u64_a4 scope;
	__u8 text[NAME_SUFFIX];
};

enum name_match {
	NAME_EXACT = 1, /* the suffix itself */
	NAME_LABEL = 2, /* one label more */
	NAME_BELOW = 3, /* any number of them, but one */
	NAME_ALL = 4,
	NAME_PATTERN = 5, /* what is left of the suffix is in globs */
};

struct candidate {
	__u32 selector;
	__u8 match;  /* enum name_match */
	__u8 labels; /* of its suffix */
	__u16 skip;  /* bytes of it */
};

/* What may select the names below a suffix that have no longer one here. */
struct fqdn_node {
	__u32 used;
	struct candidate candidate[NAME_CANDIDATES];
};

struct glob_steps {
	__u64 mask[NAME_SYMBOLS];
};

/* Bit n is a state: n characters of the pattern have been seen. */
struct glob {
	__u64 stay;   /* states that take any character but a dot */
	__u64 across; /* and those that take it, too */
	__u64 accept;
	struct glob_steps step; /* by character: states that go on with it */
};

enum dns_rules_flag {
	DNS_PASS = 1,  /* what is asked passes, whether or not a rule means it */
	DNS_AUDIT = 2, /* and what none means is told */
};

/* Keyed by policy_entry's number. */
struct dns_rules {
	__u32 flags; /* enum dns_rules_flag */
};

/* A workload whose questions are heard, and how many of each it has had; keyed by its ifindex. */
struct hearer {
	__u64 names;
	__u64 addresses;
	__u64 questions;
	__u64 talks;
	__u64 forgotten; /* addresses before their time, as there were too many */
	__u64 displaced; /* names, likewise */
	__u64 refused;	 /* for which the node has no room */
	__u64 asked;	 /* questions that passed, */
	__u64 answered;	 /* answers that were believed, */
	__u64 denied;	 /* and questions that fell */
	__u64 untold;	 /* of all these: too many in a second */
	__u64 second;	 /* in which so many were told of: */
	__u32 told;
	__u32 told_denied;
};

/* What a workload has learnt of an address. */
struct learned_key {
	struct addr addr;
	__u32 ifindex;
};

struct learned {
	__u64 name[NAME_OF_ADDRESS]; /* dns_named's id; 0: none */
	__u64 expires_ns[NAME_OF_ADDRESS];
};

/* One of a workload's places: for a name, an address or a question. */
struct hearer_place {
	__u32 ifindex;
	__u32 place;
};

struct known_name {
	__u32 labels;
	struct dns_name name;
};

/* The id less one is the name's turn, and its place what is left of that. */
struct dns_named {
	__u64 id;
	__u64 expires_ns; /* the last of its addresses */
	struct known_name known;
};

struct number_key {
	__u32 ifindex;
	struct known_name known;
};

/* A question on its way. */
struct asked_key {
	struct addr client;
	struct addr resolver;
	__u32 ifindex;
	__be16 port;
	__be16 resolver_port;
	__be16 id;
	__u16 proto;
};

/*
 * A connection to a resolver, by asked_key with an id of 0. Positions are TCP's sequence numbers;
 * its questions are judged at no other place than `asked`.
 */
struct dns_talk {
	__u64 seen_ns;
	__u32 place; /* of the workload's, behind those of questions */
	__u32 first; /* of the client's bytes */
	__u32 asked; /* the next one */
	__u32 known; /* bytes before it that are in `recent` */
	__u32 due;   /* length of a question, if that has come by itself; 0: it is yet to come */
	__u32 first_answered; /* of the server's bytes */
	__u32 answered;
	__u32 read;	   /* bytes of an answer, with those of its length */
	__u32 length;	   /* of that answer */
	__u32 busy_asking; /* 1: a CPU reads what the client sent */
	__u32 busy_answering;
	__u8 started;	    /* 1: `first` is known, */
	__u8 begun;	    /* and 1: first_answered, be it of the connection before */
	__u8 open;	    /* 1: the server has accepted it */
	__u8 asked_lost;    /* 1: nobody knows where the next question begins */
	__u8 answered_lost; /* nor the next answer */
	__u8 asked_stuck;
	__u8 answered_stuck;
	__u8 pad[5];
	__u8 recent[2 * NAME_RECENT];  /* by position, in its first half */
	__u8 answer[2 * NAME_MESSAGE]; /* as far as it has come, in its first half */
};

/* How far HTTP has been read on a connection: what the next byte is. */
enum http_phase {
	HTTP_START = 0, /* the first of a request */
	HTTP_METHOD = 1,
	HTTP_PATH = 2,
	HTTP_QUERY = 3,
	HTTP_VERSION = 4,
	HTTP_LINE_LF = 5,
	HTTP_LINE = 6, /* the first of a header, or of the line that ends the head */
	HTTP_NAME = 7,
	HTTP_VALUE = 8,
	HTTP_VALUE_LF = 9,
	HTTP_LAST_LF = 10,
	HTTP_BODY = 11,
	HTTP_CHUNK_SIZE = 12,
	HTTP_CHUNK_EXTENSION = 13,
	HTTP_CHUNK_SIZE_LF = 14,
	HTTP_CHUNK_DATA = 15,
	HTTP_CHUNK_CR = 16,
	HTTP_CHUNK_LF = 17,
	HTTP_TRAILER = 18,
	HTTP_TRAILER_NAME = 19,
	HTTP_TRAILER_VALUE = 20,
	HTTP_TRAILER_LF = 21,
	HTTP_TRAILER_LAST_LF = 22,
	HTTP_ENDED = 23,  /* refused: nothing of it passes any more */
	HTTP_OPAQUE = 24, /* upgraded: what passes is no HTTP any more */
};

/* What reading came to. */
enum http_outcome {
	HTTP_MORE = 0,
	HTTP_HEAD = 1, /* a head is complete and can be judged */
	HTTP_END = 2,  /* a body is complete */
	HTTP_REFUSED = 3,
};

/* Why a request is refused without a look at the rules. */
enum http_refusal {
	HTTP_BAD_METHOD = 1,
	HTTP_BAD_TARGET = 2, /* none that begins with a slash, or bytes that have no place in it */
	HTTP_AMBIGUOUS_PATH = 3, /* not in its normal form */
	HTTP_BAD_VERSION = 4,
	HTTP_BAD_LINE = 5, /* does not end in CR LF */
	HTTP_BAD_NAME = 6,
	HTTP_BAD_VALUE = 7,
	HTTP_FOLDED = 8,
	HTTP_BAD_HOST = 9,
	HTTP_BAD_LENGTH = 10,
	HTTP_BAD_TRANSFER = 11, /* not chunked alone, or with a length */
	HTTP_UPGRADES = 12,
	HTTP_BAD_CHUNK = 13,
	HTTP_TOO_LONG = 14,
	HTTP_OUT_OF_TURN = 15, /* denied while an earlier one waits for its answer */
};

enum http_seen {
	HTTP_SEEN_HOST = 1,
	HTTP_SEEN_LENGTH = 2,
	HTTP_SEEN_CHUNKED = 4,
	HTTP_SEEN_OLD = 8, /* HTTP/1.0 */
	HTTP_SEEN_UPGRADE = 16,
	HTTP_SEEN_ASKED = 32, /* that rules ask for */
};

enum http_limit {
	HTTP_HEAD_MAX = 8192, /* bytes of a head, or of a trailer */
	HTTP_BLOCK = 256,     /* bytes that are read at a time */
	HTTP_WINDOW = 32,     /* of which so many are looked at together */
	HTTP_DIGITS = 18,     /* of a Content-Length */
	HTTP_HEX_DIGITS = 15, /* of a chunk's size */
	HTTP_PIECE = 4096,    /* bytes that are read together with a part that is kept */
	HTTP_WHOLE = 2 * HTTP_HEAD_MAX,
	HTTP_RECENT = 1024,    /* bytes that have been given, in case they come again */
	HTTP_CHUNK_LINE = 27,  /* bytes of a chunk's size, with the ends of lines around it */
	HTTP_CHUNK_LINES = 64, /* that are known until the server has acknowledged them */
	HTTP_PATH_KEPT = 128,
	HTTP_HOST_KEPT = 64,
	HTTP_SWALLOWED = 65536, /* bytes behind a refused request, before the connection is cut */
	HTTP_STUCK = 16,	/* packets that fall one after the other, before it is */
	HTTP_TOLD = 200,	/* allowed requests that each CPU tells of in a second */
	HTTP_CHOICES = 8,	/* rules that may meet one path */
	HTTP_NAME_KEPT = 32,
	HTTP_VALUE_KEPT = 64,
	HTTP_CONDITIONS = 32, /* of headers, in a set */
};

/* What rules ask for: a header's value, or with none its name; with no name whether there is any.
 */
struct http_header_key {
	__u32 set;
	__u8 name[HTTP_NAME_KEPT]; /* in lower case */
	__u8 value[HTTP_VALUE_KEPT];
};

/* A bit for each condition of the set. */
struct http_header {
	__u32 met;     /* by being there */
	__u32 of_name; /* what its value may meet */
};

/* One connection's HTTP. */
struct http_stream {
	__u64 left;	   /* bytes of the body or chunk to come */
	__u64 length;	   /* that its head tells */
	__u32 size;	   /* bytes of the head or trailer so far */
	__u32 path_length; /* of the target, with its query; it may be longer than what is kept */
	__u32 rule;	   /* that allowed the last one */
	__u16 set;	   /* that judged the last one */
	__u8 phase;	   /* enum http_phase */
	__u8 refusal;	   /* enum http_refusal */
	__u8 seen;	   /* enum http_seen */
	__u8 kind;	   /* of the header at hand */
	__u8 matched;	   /* bytes of what is being read */
	__u8 segment;	   /* of the path */
	__u8 escape;	   /* where in %XX */
	__u8 digit;
	__u8 last;  /* escaped byte, if the last was one */
	__u8 twice; /* behind %25 */
	__u8 underscore;
	__u8 method_length;
	__u8 host_length;
	__u8 name_length;
	__u8 value_length; /* of a header that rules ask for, with blanks behind it */
	__u8 value_end;	   /* without */
	__u8 pad2[2];
	__u32 met;    /* conditions that its headers meet */
	__u32 named;  /* those on the value of the header at hand */
	__u32 spoilt; /* those that some header of the name does not meet */
	__u16 looked; /* for conditions of this set */
	__u8 looks;   /* it has some */
	__u8 pad;
	__u8 method[16];
	__u8 host[HTTP_HOST_KEPT];
	__u8 path[HTTP_PATH_KEPT];
	struct http_header_key header; /* the one at hand */
	__u8 pad3[4];
};

/* The start of a head, and room for what comes with its end. */
struct http_held {
	__u32 size;
	__u8 bytes[HTTP_WHOLE];
};

/* The longest prefix of a path; a path ends in a zero byte, which is in none. */
struct http_rule_key {
	__u32 prefixlen; /* 32 + 8 for each byte */
	__u32 set;	 /* number of the rule set */
	__u8 path[HTTP_PATH_KEPT];
};

/* What of a request must be so; zero bytes: anything. */
struct http_choice {
	__u8 method[16];
	__u8 host[HTTP_HOST_KEPT];
	__u32 rule;    /* place in its rule set */
	__u32 headers; /* conditions that they must meet */
};

/* All rules that meet paths which begin so. */
struct http_rule {
	__u32 choices;
	__u32 pad;
	struct http_choice choice[HTTP_CHOICES];
};

/* What is said on a connection, by its first bytes. */
enum talk_kind {
	TALK_HTTP = 0,
	TALK_TLS = 1,
	TALK_HTTP2 = 2,
	TALK_UPGRADED = 3,   /* by a 101 */
	TALK_H2_REQUEST = 4, /* of an event: one of HTTP/2; without a length: not seen */
};

/* Ends are sorted, so that both directions of a connection find one entry. */
struct ct_key {
	struct addr addr[2];
	__be16 port[2];
	__u8 proto;
	__u8 pad[3];
};

/* How a connection that is judged has ended. */
enum judged_end {
	JUDGED_REFUSED =
		1,	 /* the client has been given an answer, the server knows of nothing yet */
	JUDGED_OVER = 2, /* so does the server: that its client has closed */
	JUDGED_CUT = 3,	 /* whoever sends is reset */
};

/* A connection whose requests and the starts of whose answers are told of. */
struct http_talk {
	__u64 asked_ns; /* when the head of the last request was complete */
	__u32 epoch;	/* of the policy that knew the identities */
	__u32 src_identity;
	__u32 dst_identity;
	__u32 next;   /* of the client's bytes, by TCP's sequence numbers */
	__u32 answer; /* where the answer that is due begins */
	__u32 rule;
	__u32 passed; /* requests, if they are judged */
	__u16 set;
	__u8 waiting; /* 1: an answer is due */
	__u8 told;    /* 1: of the request that waits for it */
	__u8 lost;    /* 1: bytes are missing, or make no sense */
	__u8 blind;   /* 1: requests came before answers, which cannot be told apart */
	__u8 kind;    /* enum talk_kind */
	__u8 pad[5];
	struct http_stream http; /* the last request */
};

/* Of a chunk's size: given to the server, and to be the same if it comes again. */
struct http_chunk_line {
	__u32 seq;
	__u8 size;
	__u8 bytes[HTTP_CHUNK_LINE];
};

struct http_lines {
	__u32 total; /* so far, as of http_judged: if they differ, nothing is known */
	struct http_chunk_line line[HTTP_CHUNK_LINES];
};

/* One whose requests are judged. Places are TCP's sequence numbers. */
struct http_judged {
	struct http_talk talk;
	struct ct_key key; /* its own: a record may become another's while a CPU looks at it */
	__u64 cookie;	   /* of the server's socket */
	__u64 spoke_ns;	   /* when the server last said something */
	__u32 given;	   /* the server has the client's bytes up to here; what follows, up to
			      talk.next, is the start of a head, and kept */
	__u32 acked;	   /* by the server */
	__u32 content;	   /* where content begins that it was given last, with its chunks' lines */
	__u32 content_end; /* and ends */
	__u32 lines;	   /* among that */
	__u32 sent;	   /* of the server's bytes */
	__u32 written;	   /* `sent` when a request was last given */
	__u32 swallowed;   /* bytes behind the end */
	__u32 busy;	   /* 1: a CPU reads what the client sent */
	__u32 recent;	   /* where the bytes begin that it was given last */
	__u32 recent_size; /* and how many of them are known: */
	__u8 last[HTTP_RECENT];
	__u16 window; /* the server's, as it says */
	__u16 status; /* of the refusal */
	__u8 end;     /* enum judged_end, 0: not so */
	__u8 stuck;   /* packets that fell since any was news */
	__u8 closing; /* 1: the server has sent its last */
	__u8 joined;  /* 1: among the recent ones are some that were kept */
	__u8 gone;    /* 1: to be deleted by the CPU that works on it */
	__u8 pad[3];
};

/* Whose requests are counted together. All zero: what found no room. */
struct http_count_key {
	__u32 src_identity;
	__u32 dst_identity;
	__u32 rule; /* place in its set */
	__u16 set;
	__u8 status_class; /* enum http_class, or the first digit of the answer's status */
	__u8 folded; /* 1: of rules that have gone, `rule` is a route's; no program counts here */
};

enum http_class {
	HTTP_CLASS_UNSEEN = 0,	/* the answer is not known, or there was none */
	HTTP_CLASS_REFUSED = 6, /* by the kernel */
};

enum http_bucket {
	HTTP_BUCKETS = 24,
};

struct http_count {
	__u64 requests;
	__u64 time_ns;		    /* until their answers began, of all */
	__u64 bucket[HTTP_BUCKETS]; /* of times: below 2^place µs, the last one of all others */
};

/* A request that was judged, or answered; or what else is said on a connection. */
struct http_event {
	__u64 time_ns;	   /* CLOCK_MONOTONIC, of the request */
	__u64 duration_ns; /* until the answer began; 0: not known */
	struct addr src;
	struct addr dst;
	__be16 sport;
	__be16 dport;
	__u16 set;
	__u16 status; /* of the answer, 0: not known */
	__u32 rule;   /* place in the set of the one that allowed */
	__u32 path_length;
	__u8 refusal; /* enum http_refusal */
	__u8 method_length;
	__u8 host_length;
	__u8 seen; /* enum http_seen */
	__u8 method[16];
	__u8 host[HTTP_HOST_KEPT]; /* TALK_TLS: the server's name */
	__u8 path[HTTP_PATH_KEPT]; /* TALK_TLS: protocols, as RFC 7301 has them */
	__u8 denied;		   /* 1: the kernel gave the answer */
	__u8 kind;		   /* enum talk_kind */
	__u8 grpc;		   /* its status and 1; 0: none was seen */
	__u8 pad;
};

/* How far the start of TLS has been read. */
struct hello {
	__u32 next;   /* by TCP's sequence numbers */
	__u32 skip;   /* bytes that say nothing */
	__u32 rest;   /* of the extensions */
	__u16 size;   /* of the extension or text at hand */
	__u16 behind; /* the text, of the extension */
	__u16 kind;   /* of the extension */
	__u8 step;
	__u8 half; /* 1: of a number, its high byte */
	__u8 high;
	__u8 host_length;
	__u8 path_length;
	__u8 pad;
	__u8 host[HTTP_HOST_KEPT]; /* as http_event has them */
	__u8 path[HTTP_PATH_KEPT];
};

enum h2_limit {
	H2_WAITING = 128, /* requests that wait for their answers at a time */
	H2_STEPS = 8192,  /* frames and parts of them that are read of a packet */
};

/* A field that means something here. */
enum h2_field {
	H2_OTHER = 0,
	H2_METHOD = 1,
	H2_PATH = 2,
	H2_AUTHORITY = 3,
	H2_STATUS = 4,
	H2_CONTENT_TYPE = 5,
	H2_GRPC_STATUS = 6,
};

/* What a block of HPACK (RFC 7541) goes on with. */
enum hpack_phase {
	HPACK_FIELD = 0, /* the first byte of a field */
	HPACK_INDEX = 1, /* more of its number */
	HPACK_SIZE = 2,	 /* the first byte of a string's length */
	HPACK_SIZE_MORE = 3,
	HPACK_STRING = 4,
};

enum hpack_kind {
	HPACK_INDEXED = 0,
	HPACK_ADDED = 1, /* to the dynamic table */
	HPACK_LITERAL = 2,
	HPACK_RESIZED = 3,
};

struct hpack_value {
	__u16 length; /* of the text, of which less may be kept */
	__u8 field;   /* enum h2_field */
	__u8 pad;
	__u8 text[HTTP_PATH_KEPT];
};

/* A field of a dynamic table. */
struct hpack_key {
	__u64 table;
	__u32 number; /* of all that were ever added to it, from 1 */
	__u32 pad;
};

/* How far one side's blocks have been read. */
struct hpack {
	__u64 table;   /* a number of its own */
	__u64 meaning; /* a bit for each of the last that were added: whether its value is kept */
	__u32 added;   /* to its dynamic table */
	__u32 number;
	__u32 left; /* bytes of the string at hand */
	__u32 code; /* as far as it has come, of `bits` bits */
	__u8 bits;
	__u8 shift;
	__u8 phase; /* enum hpack_phase */
	__u8 kind;  /* enum hpack_kind */
	__u8 field; /* enum h2_field, of the field at hand */
	__u8 names; /* 1: the string is its name */
	__u8 huffman;
	__u8 wanted;  /* bits by enum h2_field */
	__u8 seen;    /* the same, of this block */
	__u8 is_grpc; /* 1: so says the content's type */
	__u8 grpc;    /* its status and 1; 0: none */
	__u8 pad;
	__u16 status;
	struct hpack_value value; /* at hand */
	__u8 pad2[6];
};

/* What one end sends on a connection of HTTP/2 (RFC 9113). */
struct h2_side {
	__u32 next;  /* by TCP's sequence numbers */
	__u32 left;  /* bytes of the frame */
	__u32 block; /* of which so many are of a block */
	__u32 stream;
	__u8 head[9];
	__u8 have;   /* of `head` */
	__u8 padded; /* 1: the length of its padding comes next */
	__u8 before; /* bytes before the block */
	__u8 opened; /* the type of the frame whose block has not ended; 0: none */
	__u8 begun;
	__u8 lost; /* 1: bytes are missing, or make no sense */
	__u8 pad;
	struct hpack hpack;
};

/* 0 as stream: none. */
struct h2_waiting {
	__u64 asked_ns;
	__u32 stream;
	__u16 told;
	__u16 ending; /* 1: counted, and to be told of when gRPC says what came of it */
};

struct h2_head {
	__u32 path_length;
	__u8 method_length;
	__u8 host_length;
	__u8 pad[2];
	__u8 method[16];
	__u8 host[HTTP_HOST_KEPT];
	__u8 path[HTTP_PATH_KEPT];
};

struct h2_talk {
	__u64 id;
	__u32 last;		/* stream that the client has opened */
	__u32 early;		/* 1: the server has spoken, the client not yet */
	struct h2_side side[2]; /* 1: the server's */
	struct h2_head request;
	struct h2_waiting waiting[H2_WAITING];
};

struct h2_request_key {
	__u64 talk; /* its id */
	__u32 stream;
	__u32 pad;
};

/* The test harness's way into lib/http.h. */
struct http_args {
	struct http_stream http;
	__u32 size; /* of bytes */
	__u32 used;
	__u32 outcome;
	__u32 allowed; /* 1: the head that has come to its end, by a rule of its set */
	__u8 bytes[HTTP_BLOCK + HTTP_WINDOW];
};

struct asked {
	__u64 time_ns;
	__u16 qtype; /* host order */
	__u16 qclass;
	struct known_name known;
	__u32 place; /* of the workload's */
};

enum dns_status {
	DNS_READ = 1,
	DNS_BAD = 2, /* malformed, or no plain question or answer */
	DNS_ODD = 3, /* with characters in the asked name that no rule can speak of */
};

struct dns_address {
	struct addr addr;
	__u32 ttl_s; /* the least on the way there */
};

struct dns_addresses {
	struct dns_address item[NAME_ADDRESSES];
};

/* A question that was answered, or was not let through. */
struct dns_event {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	struct addr client;
	struct addr resolver;
	__be16 port;
	__be16 resolver_port;
	__u16 qtype;
	__u16 flags;  /* the message's */
	__u32 reason; /* enum reason */
	__u32 rule;
	__u32 rules; /* number of the DNS rules */
	__u32 unmet; /* 1: none of them means it, and it passed all the same */
	__u32 found; /* addresses, of which there may be fewer */
	__u32 ttl_s; /* of the first */
	__u32 bits;  /* of the name */
	__u32 proto;
	struct dns_text text;
	struct addr address[NAME_TOLD];
};

/* What a message says. */
struct dns_message {
	__u32 status; /* enum dns_status */
	__u16 id;
	__u16 flags;
	__u16 qtype;
	__u16 qclass;
	struct known_name asked;
	__u32 found; /* addresses */
	struct dns_addresses addresses;
};

struct service_key {
	struct addr addr; /* :: or ::ffff:0.0.0.0: any address of any node, of that family */
	__be16 port;
	__u8 proto;
	__u8 pad;
};

enum service_flag {
	SERVICE_EXTERNAL = 1,	   /* served to what comes in by the uplink */
	SERVICE_MAGLEV = 2,	   /* tables are Maglev's: the position is a hash of the flow */
	SERVICE_SOURCE_RANGES = 4, /* the client must be in source_ranges */
	SERVICE_CLIENT_IP = 8,	   /* session affinity */
	SERVICE_PROXY = 16,	   /* the node's proxy takes its connections: no tables */
};

/* A table of slots; no slots: no endpoint. */
struct table {
	__u64 id; /* key into slots */
	__u32 slots;
	__u32 pad;
};

struct service {
	__u32 id;
	__u32 flags; /* enum service_flag */
	__u32 affinity_s;
	__u32 pad;
	struct table internal; /* for sockets of this node */
	struct table external; /* for what comes in by the uplink */
	struct table local;    /* external, backends of this node only: DSR from another node */
};

struct source_range_key {
	__u32 prefixlen; /* 32 + 0..128 */
	__u32 service;
	struct addr client;
};

struct source_range {
	__u32 pad;
};

struct slot_key {
	__u64 table;
	__u32 position;
	__u32 pad;
};

/* Vose's alias method: take this slot's backend when a 32-bit draw is <= keep, else alias's. */
struct slot {
	__u64 backend;
	__u32 keep;
	__u32 alias;
	struct addr addr;
	__be16 port;
	__u16 pad16;
	__u32 pad32;
};

/* Keyed by a u64: its presence says that the backend still takes part. */
struct backend {
	__u32 service;
	__be16 port;
	__u16 pad;
	struct addr addr;
};

struct affinity_key {
	struct addr client; /* or a socket's network namespace cookie, below 64 zero bits */
	__u32 service;
	__u32 pad;
};

struct affinity {
	__u64 last_used_ns;
	__u64 backend;
};

/* Source address and destination prefix → where to leave the mesh, and as whom. */
struct egress_key {
	__u32 prefixlen; /* 128 + 0..128 */
	struct addr src;
	struct addr dst;
};

struct egress_gateway {
	struct addr address; /* source address outside; zero: excluded from the policy */
	struct addr node;    /* underlay address of the gateway; zero: this node */
	__u32 gone;	     /* 1: no node is the gateway, drop */
	__u32 pad;
};

/* A packet as it arrives, before translation. Each direction of a connection has its own entry. */
struct nat_key {
	struct addr src;
	struct addr dst;
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 pad[3];
};

/* As enum ct_lifetime, for translations. */
enum nat_lifetime {
	NAT_LIFETIME_TCP = 86400,
	NAT_LIFETIME_TCP_CLOSING = 60,
	NAT_LIFETIME_OTHER = 120,
};

enum nat_flag {
	NAT_FORWARD = 1, /* in the direction in which the connection was opened */
	NAT_SERVICE = 2, /* to a backend; else masquerade or egress gateway */
	NAT_DSR = 4,	 /* not translated here: sent on to the node of dst */
	NAT_FIN = 8,	 /* this direction has ended */
	NAT_RST = 16,
	NAT_REPLIED = 32,
};

/* The packet as it leaves. */
struct nat_entry {
	struct addr src;
	struct addr dst;
	__be16 sport;
	__be16 dport;
	__u32 flags; /* enum nat_flag */
	__u64 last_seen_ns;
	__u64 backend; /* NAT_SERVICE */
};

/* What a socket asked for, so that getpeername() and recvmsg() can answer in its words. */
struct sock_nat_key {
	__u64 cookie;
	struct addr addr;
	__be16 port;
	__u16 pad16;
	__u32 pad32;
};

struct sock_nat {
	struct addr addr;
	__be16 port;
	__u16 pad;
};

enum ct_flag {
	CT_FIN_0 = 1, /* end 0 sent FIN */
	CT_FIN_1 = 2,
	CT_RST = 4,
	CT_REPLIED = 8,
	CT_MIDSTREAM = 16,  /* not seen from its start: either end may have opened it */
	CT_TRANSLATED = 32, /* came in to a service: answers need the nat map */
	CT_PROXY_0 = 64,    /* the node's proxy speaks for end 0 */
	CT_PROXY_1 = 128,
	CT_STREAM = 256,    /* its L7 rules are judged in its packets */
	CT_HELD = 512,	    /* which are followed from the first one on */
	CT_NOT_HELD = 1024, /* and cannot be */
	CT_WATCHED = 8192,  /* its HTTP is told of, and judged by nobody */
};

/* Idle seconds after which a connection counts as gone: nf_conntrack's, but never long to close. */
enum ct_lifetime {
	CT_LIFETIME_DENIED = 86400,
	CT_LIFETIME_TCP = 86400,
	CT_LIFETIME_TCP_OPENING = 60,
	CT_LIFETIME_TCP_CLOSING = 10,
	CT_LIFETIME_OTHER = 120,
	CT_LIFETIME_OTHER_OPENING = 30,
};

struct ct_entry {
	__u64 last_seen_ns; /* CLOCK_MONOTONIC_COARSE */
	__u64 judgement;    /* epoch of the policy that judged it, CT_DENIED; one store sets both */
	__u32 ifindex[2];   /* of each end's workload, 0 if it is not local or the proxy's */
	__u32 egress_rule;
	__u32 ingress_rule;
	__u32 flags;	 /* enum ct_flag */
	__u32 initiator; /* which end */
	__be16 proxy;	 /* whose L7 rules judge it: policy_entry's; 0: none */
	__be16 passed;	 /* whose L7 rules the proxy has enforced before it opened it */
	__be16 dns;	 /* DNS rules that judge its questions; 0: none */
	__u16 pad;
};

/* In ct_entry.judgement, above the epoch: a changed policy cut the connection. */
#define CT_DENIED (1ULL << 32)

struct fragment_key {
	struct addr src;
	struct addr dst;
	__u32 ifindex; /* a forged first fragment from elsewhere speaks for no other */
	__u32 id;
	__u8 proto;
	__u8 pad[3];
};

struct fragment {
	__be16 sport;
	__be16 dport;
};

enum gone_service {
	GONE_NO_SERVICE = 0,	  /* of a service that is gone as well */
	GONE_UNREAD = 0x7fffffff, /* nothing is gone, but what goes there is read from now on */
};

/* A backend or an address that has just vanished. */
struct gone_key {
	struct addr addr;
	__u32 service; /* or enum gone_service */
	__be16 port;   /* 0: the address itself has left the mesh; of GONE_UNREAD: any */
	__u16 pad;
};

/* As the workload sees it. */
enum direction {
	DIRECTION_INGRESS = 1,
	DIRECTION_EGRESS = 2,
};

struct bandwidth_key {
	__u32 ifindex;	 /* of the node's side */
	__u32 direction; /* enum direction */
};

struct bandwidth {
	__u64 bits_per_s; /* not 0 */
	__u64 burst_ns;	  /* the time in which that many are let through at once */
};

struct bucket {
	__u64 paid_ns; /* CLOCK_MONOTONIC until which what has passed takes up the rate */
	__u64 told_ns; /* when a drop was told last */
};

/* Why what a socket sends goes by its interface, for as long as the connection lasts. */
enum short_end {
	SHORT_ON = 0,
	SHORT_OFF = 1,	    /* switched off */
	SHORT_GONE = 2,	    /* an end has closed its socket, or half of it */
	SHORT_POLICY = 3,   /* policy does not allow it any more, or not without looking at it */
	SHORT_READ = 4,	    /* another program reads what the other socket gets */
	SHORT_LIMITED = 5,  /* an end's bandwidth is limited */
	SHORT_CALL = 6,	    /* sent by a call, or with a flag, that only TCP knows */
	SHORT_BLOCKING = 7, /* the reader waits in the kernel, or for more than some bytes */
	SHORT_BYTES = 8,    /* and is too slow */
	SHORT_PIECES = 9,   /* for so many messages */
	SHORT_LOST = 10,    /* more connections than there is room for */
	SHORT_END_MAX = 11,
};

enum short_limit {
	SHORT_BYTES_MAX = 131072, /* sent and not read, of each direction; or SO_RCVBUF, if less */
	SHORT_PIECES_MAX = 256,
	SHORT_FIRST = 2,	  /* packet with bytes after which an end takes part */
	SHORT_LAST = 8,		  /* and with which it does at the latest */
	SHORT_LOOK_NS = 10000000, /* until the connection is looked at again */
};

/* An end of a connection. */
struct short_key {
	struct ct_key connection;
	__u32 end;
};

/* A connection between workloads of this node, its ends in the order of ct_key. */
struct short_pair {
	__u64 sock[2]; /* where the kernel has them; 0: takes no part */
	__u32 end[2];  /* enum short_end, of what this end sends */
	__u32 packets[2];
	__u32 drained[2]; /* 1: behind the end, the other's queue was seen to be empty */
};

/* What goes with a socket that takes part, so that a message has little to look up. */
struct short_sender {
	struct short_key key;
	__u32 epoch;	 /* under which policy allowed what it sends */
	__u64 other;	 /* where the kernel has the other end; 0: it takes no part yet */
	__u64 looked_ns; /* when the connection was last looked at */
	__u32 pieces;	 /* that it has sent since the other's queue was last looked at */
	__u32 end;	 /* enum short_end */
};

/* How full a map is. */
struct fill {
	__u32 map; /* the kernel's number for it */
	__u32 pad;
	__u64 entries;
};

enum node_flag {
	NODE_VXLAN = 1, /* other nodes' workloads are reached through the overlay */
	NODE_MASQUERADE_4 = 2,
	NODE_MASQUERADE_6 = 4,
	NODE_DSR = 8,	       /* external traffic to other nodes' backends keeps its source */
	NODE_BANDWIDTH = 16,   /* some workload's is limited */
	NODE_CHAINED = 32,     /* workloads' interfaces, addresses and routes are another's */
	NODE_SHORT = 64,       /* local TCP may go from socket to socket */
	NODE_SHORT_LEFT = 128, /* some did before this agent; readers may not have it all yet */
};

/* What every packet program must know of its node. */
struct state {
	__u32 epoch; /* raised after every change that a verdict may depend on */
	__u32 flags; /* enum node_flag */
	__u32 overlay_ifindex;
	__u16 nat_port_first; /* host order, inclusive */
	__u16 nat_port_last;
	struct addr node_4; /* source addresses of what leaves as the node; zero: none */
	struct addr node_6;
	__u64 proxy_cgroup; /* of the node's proxy; 0: there is none */
	__u32 proxy_level;  /* how deep that lies, below the root at 0 */
	__u32 pad;
	struct addr self_4; /* whom a workload sees that the proxy leads to itself; zero: nobody */
	struct addr self_6;
};

/* VNIs from here on mean no labels. */
enum vni {
	VNI_NONE = 0,
	VNI_DSR = 1,	/* the packet as it came from outside; the receiver picks a backend */
	VNI_EGRESS = 2, /* leaves the mesh at the receiver (egress gateway) */
	VNI_HOST = 3,	/* from the sending node itself */
	VNI_FIRST = 16,
};

struct counter {
	__u64 packets;
	__u64 bytes;
};

/* What the pure decisions work on: one direction of one connection. */
struct flow {
	struct addr src;
	struct addr dst;
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 tcp_flags;
	__u8 icmp_error; /* 1: the tuple is that of the packet that the error is about */
	__u8 translated; /* 1: by this node, on its way in */
	__u8 from_proxy; /* 1: the node's proxy sent it, whatever its source */
	__u8 payload;	 /* 1: it brings bytes for the receiver */
	__be16 passed;	 /* from_proxy: whose L7 rules it has enforced */
	__u32 ifindex;	 /* where the packet was seen */
	__u32 hook;
	__u32 vni; /* HOOK_FROM_OVERLAY: what the sending node says of the source */
};

struct verdict {
	__u32 reason;
	__u32 src_identity;
	__u32 dst_identity;
	__u32 src_ifindex; /* of local workloads, else 0 */
	__u32 dst_ifindex;
	__u32 egress_rule;
	__u32 ingress_rule;
	__u32 audit_rule; /* what would have denied if no policy were in audit mode */
	__u32 action;	  /* ACTION_REJECT: the sender is to be told */
	__u8 reply;	  /* 1: against the direction in which the connection was opened */
	__u8 translated;  /* 1: the nat map has to be asked on the way out */
	__u8 to_proxy;	  /* 1: the node's proxy takes it */
	__u8 standing;	  /* 1: of a connection that stands, for which names do not expire */
	__u8 held;	  /* 1: the L7 rules are judged in packets */
	__u8 heard;	  /* 1: what the packet says of HTTP is told of */
	__be16 proxy; /* to_proxy: port of the listener that takes new ones; 0: the packet's own */
	__be16 dns;   /* DNS rules that judge its questions; 0: none */
	__u8 watched; /* 1: either end asks for its HTTP to be told of */
	__u8 judged;  /* 1: the packet's connection is under rules of HTTP */
};

struct event {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	struct flow flow;
	struct verdict verdict;
	__u32 bytes;
	__u32 service; /* id: of HOOK_SOCKET, or of what an external client asked for */
	__u64 cgroup;  /* of the caller, for HOOK_SOCKET */
};

/* The test harness's calls into lib/. */
struct decide_args {
	struct flow flow;
	struct verdict verdict;
	struct service service;
	struct slot slot;
	__u64 now_ns;
	__u32 op; /* enum decide_op */
	__u32 draw[2];
	__u32 pad;
};

enum decide_op {
	DECIDE_JUDGE = 1,   /* flow -> verdict, stateless */
	DECIDE_TRACK = 2,   /* flow -> verdict, through conntrack */
	DECIDE_BALANCE = 3, /* flow.dst, draws -> slot */
};

/* A type that only code uses is absent from BTF until something in a section points to it. */
#define ABI_EXPORT(kind, name) static kind name *abi_##name __attribute__((section(".abi"), used))

ABI_EXPORT(enum, limit);
ABI_EXPORT(enum, reason);
ABI_EXPORT(enum, identity);
ABI_EXPORT(enum, rule_id);
ABI_EXPORT(enum, action);
ABI_EXPORT(enum, hook);
ABI_EXPORT(enum, mark);
ABI_EXPORT(enum, policy_set);
ABI_EXPORT(enum, policy_prefix);
ABI_EXPORT(enum, policy_flag);
ABI_EXPORT(enum, name_limit);
ABI_EXPORT(enum, name_match);
ABI_EXPORT(enum, name_scope);
ABI_EXPORT(enum, dns_rules_flag);
ABI_EXPORT(enum, hearer_limit);
ABI_EXPORT(enum, dns_status);
ABI_EXPORT(enum, ct_flag);
ABI_EXPORT(enum, ct_lifetime);
ABI_EXPORT(enum, endpoint_flag);
ABI_EXPORT(enum, ipcache_flag);
ABI_EXPORT(enum, service_flag);
ABI_EXPORT(enum, nat_flag);
ABI_EXPORT(enum, nat_lifetime);
ABI_EXPORT(enum, node_flag);
ABI_EXPORT(enum, vni);
ABI_EXPORT(enum, gone_service);
ABI_EXPORT(enum, decide_op);
ABI_EXPORT(enum, direction);
ABI_EXPORT(struct, wire);
ABI_EXPORT(enum, http_phase);
ABI_EXPORT(enum, http_outcome);
ABI_EXPORT(enum, http_refusal);
ABI_EXPORT(enum, http_seen);
ABI_EXPORT(enum, http_limit);
ABI_EXPORT(enum, talk_kind);
ABI_EXPORT(enum, http_class);
ABI_EXPORT(enum, http_bucket);
ABI_EXPORT(enum, h2_limit);
ABI_EXPORT(struct, endpoint);
ABI_EXPORT(struct, ipcache_key);
ABI_EXPORT(struct, ipcache_entry);
ABI_EXPORT(struct, policy_key);
ABI_EXPORT(struct, policy_entry);
ABI_EXPORT(struct, dns_name);
ABI_EXPORT(struct, candidate);
ABI_EXPORT(struct, fqdn_node);
ABI_EXPORT(struct, glob);
ABI_EXPORT(struct, dns_rules);
ABI_EXPORT(struct, fqdn_key);
ABI_EXPORT(struct, hearer);
ABI_EXPORT(struct, hearer_place);
ABI_EXPORT(struct, number_key);
ABI_EXPORT(struct, dns_event);
ABI_EXPORT(struct, learned_key);
ABI_EXPORT(struct, learned);
ABI_EXPORT(struct, dns_named);
ABI_EXPORT(struct, known_name);
ABI_EXPORT(struct, asked_key);
ABI_EXPORT(struct, asked);
ABI_EXPORT(struct, dns_talk);
ABI_EXPORT(struct, dns_message);
ABI_EXPORT(struct, service_key);
ABI_EXPORT(struct, service);
ABI_EXPORT(struct, table);
ABI_EXPORT(struct, source_range_key);
ABI_EXPORT(struct, source_range);
ABI_EXPORT(struct, egress_key);
ABI_EXPORT(struct, egress_gateway);
ABI_EXPORT(struct, nat_key);
ABI_EXPORT(struct, nat_entry);
ABI_EXPORT(struct, slot_key);
ABI_EXPORT(struct, slot);
ABI_EXPORT(struct, backend);
ABI_EXPORT(struct, affinity_key);
ABI_EXPORT(struct, affinity);
ABI_EXPORT(struct, sock_nat_key);
ABI_EXPORT(struct, sock_nat);
ABI_EXPORT(struct, ct_key);
ABI_EXPORT(struct, ct_entry);
ABI_EXPORT(struct, fragment_key);
ABI_EXPORT(struct, fragment);
ABI_EXPORT(struct, gone_key);
ABI_EXPORT(struct, bandwidth_key);
ABI_EXPORT(struct, bandwidth);
ABI_EXPORT(struct, bucket);
ABI_EXPORT(struct, fill);
ABI_EXPORT(struct, state);
ABI_EXPORT(struct, counter);
ABI_EXPORT(struct, flow);
ABI_EXPORT(struct, verdict);
ABI_EXPORT(struct, event);
ABI_EXPORT(struct, decide_args);
ABI_EXPORT(struct, http_header_key);
ABI_EXPORT(struct, http_header);
ABI_EXPORT(struct, http_stream);
ABI_EXPORT(struct, http_held);
ABI_EXPORT(struct, http_rule_key);
ABI_EXPORT(struct, http_choice);
ABI_EXPORT(struct, http_rule);
ABI_EXPORT(struct, http_event);
ABI_EXPORT(struct, http_talk);
ABI_EXPORT(struct, http_judged);
ABI_EXPORT(struct, http_chunk_line);
ABI_EXPORT(struct, http_lines);
ABI_EXPORT(struct, http_count_key);
ABI_EXPORT(struct, http_count);
ABI_EXPORT(struct, hello);
ABI_EXPORT(struct, hpack_value);
ABI_EXPORT(struct, hpack_key);
ABI_EXPORT(struct, hpack);
ABI_EXPORT(struct, h2_side);
ABI_EXPORT(struct, h2_waiting);
ABI_EXPORT(struct, h2_head);
ABI_EXPORT(struct, h2_talk);
ABI_EXPORT(struct, h2_request_key);
ABI_EXPORT(struct, http_args);
ABI_EXPORT(enum, short_end);
ABI_EXPORT(enum, short_limit);
ABI_EXPORT(struct, short_key);
ABI_EXPORT(struct, short_pair);
ABI_EXPORT(struct, short_sender);
