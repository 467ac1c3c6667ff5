"""What each reason of the datapath is called: in a sentence, and in Hubble's words."""

from __future__ import annotations

from collections.abc import Mapping

from tulle.abi import Reason

TEXT: Mapping[int, str] = {
    Reason.ALLOWED: "allowed",
    Reason.ESTABLISHED: "part of an allowed connection",
    Reason.RELATED: "ICMP error about an allowed connection",
    Reason.LINK_LOCAL: "between a workload and its node only",
    Reason.TRANSLATED: "service address translated to a backend's",
    Reason.FORWARDED: "passes this node on its way between two others",
    Reason.NODE: "between the node itself and others, and no policy selects the node",
    Reason.PROXIED: "the node's proxy takes it",
    Reason.SHORT: "part of an allowed connection, from socket to socket",
    Reason.POLICY_DENIED: "denied by policy",
    Reason.SPOOFED_SOURCE: "spoofed source address",
    Reason.MALFORMED: "malformed packet",
    Reason.UNSUPPORTED_PROTOCOL: "unsupported protocol",
    Reason.FRAGMENT_UNTRACKED: "fragment whose first one was not seen",
    Reason.ICMP_UNRELATED: "ICMP error about no known connection",
    Reason.NO_BACKEND: "service without a ready endpoint",
    Reason.NO_SERVICE_PORT: "the service has no such port",
    Reason.NO_POLICY: "the workload's policy is missing in the kernel: denied to be safe",
    Reason.NO_ENDPOINT: "interface of no known workload",
    Reason.CONNTRACK_FULL: "the connection table is full",
    Reason.UNSOLICITED_REPLY: "answer to no connection that was asked for",
    Reason.SPOOFED_TUNNEL: "sent through the overlay by a node that its source does not live on",
    Reason.NAT_PORTS_EXHAUSTED: "no source port is free towards that destination",
    Reason.NAT_FULL: "the table of translations is full",
    Reason.NAT_UNSUPPORTED: "its headers cannot be translated",
    Reason.NO_ROUTE: "the node has no way there",
    Reason.SOURCE_RANGE: "outside of the service's loadBalancerSourceRanges",
    Reason.NO_GATEWAY: "its egress gateway is not there",
    Reason.NO_PROXY: "the node's proxy has no socket for it",
    Reason.OTHER_RULES: "other L7 rules than those it was opened under judge it now",
    Reason.OVER_BANDWIDTH: "more than the workload's bandwidth",
    Reason.DNS_REFUSED: "no DNS rule allows that name to be asked for",
    Reason.DNS_UNREADABLE: "under DNS rules, but no plain question in one packet",
    Reason.DNS_PROTOCOL: "under DNS rules, by neither UDP nor TCP",
    Reason.NOT_HELD: "requests of a connection that the kernel has not read from its start",
    Reason.HTTP_CUT: "part of a connection that ended with a refused request",
    Reason.BEHIND: "sent again until its reader has read what came from socket to socket",
    Reason.HTTP_KEPT: "part of a request's head, kept until the rest has come",
    Reason.HTTP_REFUSED: "a request that was answered here",
    Reason.HTTP_ORDER: "requests out of order, which their client sends again",
}

# `DropReason` of Cilium's flow.proto; the nearest word where there is no equal
HUBBLE: Mapping[int, str] = {
    Reason.POLICY_DENIED: "POLICY_DENIED",
    Reason.SPOOFED_SOURCE: "INVALID_SOURCE_IP",
    Reason.MALFORMED: "INVALID_PACKET_DROPPED",
    Reason.UNSUPPORTED_PROTOCOL: "UNKNOWN_L4_PROTOCOL",
    Reason.FRAGMENT_UNTRACKED: "FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND",
    Reason.ICMP_UNRELATED: "UNKNOWN_CONNECTION_TRACKING_STATE",
    Reason.NO_BACKEND: "SERVICE_BACKEND_NOT_FOUND",
    Reason.NO_SERVICE_PORT: "IS_A_CLUSTERIP",
    Reason.NO_POLICY: "NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION",
    Reason.NO_ENDPOINT: "NO_MATCHING_LOCAL_CONTAINER_FOUND",
    Reason.CONNTRACK_FULL: "CT_MAP_INSERTION_FAILED",
    Reason.UNSOLICITED_REPLY: "UNKNOWN_CONNECTION_TRACKING_STATE",
    Reason.SPOOFED_TUNNEL: "UNKNOWN_SENDER",
    Reason.NAT_PORTS_EXHAUSTED: "NO_MAPPING_FOR_NAT_MASQUERADE",
    Reason.NAT_FULL: "NO_MAPPING_FOR_NAT_MASQUERADE",
    Reason.NAT_UNSUPPORTED: "UNSUPPORTED_PROTOCOL_FOR_NAT_MASQUERADE",
    Reason.NO_ROUTE: "FIB_LOOKUP_FAILED",
    Reason.SOURCE_RANGE: "DENIED_BY_LB_SRC_RANGE_CHECK",
    Reason.NO_GATEWAY: "NO_EGRESS_GATEWAY",
    Reason.NO_PROXY: "PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL",
    Reason.OTHER_RULES: "POLICY_DENIED",
    Reason.OVER_BANDWIDTH: "DROP_RATE_LIMITED",
    Reason.DNS_REFUSED: "POLICY_DENIED",
    Reason.DNS_UNREADABLE: "POLICY_DENIED",
    Reason.DNS_PROTOCOL: "POLICY_DENIED",
    Reason.NOT_HELD: "POLICY_DENIED",
    Reason.HTTP_CUT: "POLICY_DENIED",
    Reason.BEHIND: "DROP_EP_NOT_READY",
    Reason.HTTP_KEPT: "POLICY_DENIED",
    Reason.HTTP_REFUSED: "POLICY_DENIED",
    Reason.HTTP_ORDER: "POLICY_DENIED",
}
DROP_REASON_UNKNOWN = "DROP_REASON_UNKNOWN"


def name_of(reason: int) -> str:
    """`POLICY_DENIED` for 64; a number that this Tulle does not know stays one."""
    try:
        return Reason(reason).name
    except ValueError:
        return str(reason)


def text_of(reason: int) -> str:
    return TEXT.get(reason, f"reason {reason}")
