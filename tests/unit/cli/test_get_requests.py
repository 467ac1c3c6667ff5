"""Counters of requests, as a table."""

from __future__ import annotations

from typing import Any

from tulle.cli.get_requests import requests

ROW: dict[str, Any] = {
    "source": "k8s:app=client;k8s:io.kubernetes.pod.namespace=shop",
    "destination": "identity 300",
    "route": "/a/.*",
    "status": "2xx",
    "requests": 12,
    "mean_us": 1234.5,
    "p50_us": 96.0,
    "p99_us": None,
}


def test_labels_are_short_and_times_no_more_exact_than_they_are_known() -> None:
    headers, rows = requests([ROW], wide=False)
    assert rows == [["app=client", "identity 300", "/a/.*", "2xx", 12, "96 µs", "-"]]
    assert len(headers) == len(rows[0])
    _, rows = requests([ROW | {"source": "k8s:io.kubernetes.pod.namespace=shop"}], wide=False)
    assert rows[0][0] == "io.kubernetes.pod.namespace=shop"


def test_wide_has_all_labels_and_the_mean() -> None:
    headers, rows = requests([ROW], wide=True)
    assert rows[0][0] == "k8s:app=client,k8s:io.kubernetes.pod.namespace=shop"
    assert rows[0][-1] == "1.2 ms" and headers[-1] == "MEAN"
