"""`tulle get requests`: how many, and how long until their answers began."""

from __future__ import annotations

from .client import Json
from .output import Rows


def requests(items: list[Json], wide: bool) -> tuple[list[str], Rows]:
    headers = ["SOURCE", "DESTINATION", "ROUTE", "STATUS", "REQUESTS", "P50", "P99"]
    return headers + (["MEAN"] if wide else []), [
        [
            _short(item["source"], wide),
            _short(item["destination"], wide),
            item["route"],
            item["status"],
            item["requests"],
            _time(item["p50_us"]),
            _time(item["p99_us"]),
            *([_time(item["mean_us"])] if wide else []),
        ]
        for item in items
    ]


def _time(us: float | None) -> str:
    """Of a histogram by powers of two: more digits would say what nobody knows."""
    if us is None:
        return "-"
    return f"{us:.0f} µs" if us < 1000 else f"{us / 1000:.2g} ms"


def _short(identity: str, wide: bool) -> str:
    """Its labels, without the prefixes that all of them have."""
    if wide:
        return identity.replace(";", ",")
    labels = [label.removeprefix("k8s:") for label in identity.split(";")]
    return ",".join(filter(_tells_apart, labels)) or ",".join(labels)


def _tells_apart(label: str) -> bool:
    return not label.startswith("io.kubernetes.pod")
