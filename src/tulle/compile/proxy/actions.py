"""What is done with a request that a route has taken."""

from __future__ import annotations

from collections.abc import Sequence

from tulle.model.routing import Filters, Mirror, RequestMatch, Rule

from . import balancing, cors, guards, sessions
from .fields import Fields, fraction, value
from .headers import edits, host_of
from .paths import path_fields
from .redirects import redirect_of
from .retries import times_of
from .targets import Portion, Scene, cluster_name, is_grpc, live, portions_of


def action_of(rule: Rule, match: RequestMatch, hostname: str, scene: Scene) -> Fields:
    """The fields of a Route that say what it does. `hostname` is the virtual host's."""
    if rule.filters.redirect is not None:
        return {"redirect": redirect_of(rule.filters.redirect, match, hostname, scene)}
    if portions := portions_of(rule, scene):
        return {"route": _route(rule, match, portions, scene)}
    return {"direct_response": {"status": _failure(rule)}}


def filter_configs(rule: Rule, scene: Scene) -> Fields:
    """Of the HTTP filters that are off unless a route has them on, by their names."""
    configs = guards.chain_of(rule, scene)
    if rule.filters.cors is not None:
        configs[cors.FILTER] = cors.cors_policy(rule.filters.cors)
    if rule.session is not None:
        configs[sessions.FILTER] = sessions.session_state(rule, rule.session)
    return configs


def _failure(rule: Rule) -> int:
    """Of a request without a backend; to a client of gRPC 503 is UNAVAILABLE (gRPC, HTTP codes)."""
    return 503 if is_grpc(rule) else 500


def _route(rule: Rule, match: RequestMatch, portions: Sequence[Portion], scene: Scene) -> Fields:
    filters = rule.filters
    code = "SERVICE_UNAVAILABLE" if is_grpc(rule) else "INTERNAL_SERVER_ERROR"
    return {
        **_clusters(rule, portions),
        **path_fields(filters.rewrite.path if filters.rewrite else None, match),
        **_host(filters),
        **times_of(rule),
        "request_mirror_policies": [_mirror(item, rule, scene) for item in _mirrors(filters)],
        "cluster_not_found_response_code": code,
    }


def _clusters(rule: Rule, portions: Sequence[Portion]) -> Fields:
    bound = balancing.hash_policies(live(rule.destinations))
    if len(portions) == 1 and portions[0].filters is None:
        return {"cluster": portions[0].cluster, "hash_policy": bound}
    clusters = [_weighted(item) for item in portions]
    return {"weighted_clusters": {"clusters": clusters}, "hash_policy": bound}


def _weighted(portion: Portion) -> Fields:
    filters = portion.filters or Filters()
    return {
        "name": portion.cluster,
        "weight": value(portion.weight),
        **edits(filters),
        **_host(filters),
    }


def _host(filters: Filters) -> Fields:
    host = host_of(filters)
    return {"host_rewrite_literal": host} if host else {}


def _mirrors(filters: Filters) -> list[Mirror]:
    """What is mirrored to nowhere is not mirrored: the client must not notice."""
    return [item for item in filters.mirrors if not item.destination.broken]


def _mirror(mirror: Mirror, rule: Rule, scene: Scene) -> Fields:
    return {
        "cluster": cluster_name(mirror.destination, scene, is_grpc(rule)),
        "runtime_fraction": fraction(mirror.numerator, mirror.denominator),
        "disable_shadow_host_suffix_append": True,
    }
