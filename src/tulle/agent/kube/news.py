"""The log hears of a problem once, and again when it has become another."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from tulle.model.kubernetes import ObjectRef

log = logging.getLogger("tulle")


def log_news(problems: Mapping[ObjectRef, str], before: Mapping[ObjectRef, str]) -> None:
    for ref, text in problems.items():
        if before.get(ref) != text:
            log.warning("%s: %s", ref, text)
