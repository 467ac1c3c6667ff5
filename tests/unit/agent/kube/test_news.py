"""What the log hears of problems."""

from __future__ import annotations

import pytest

from tulle.agent.kube.news import log_news
from tulle.model.kubernetes import ObjectRef

WEB, DB = ObjectRef("MeshNode", "", "web"), ObjectRef("MeshNode", "", "db")


def test_only_what_has_changed_is_told(caplog: pytest.LogCaptureFixture) -> None:
    log_news({WEB: "forbidden", DB: "away"}, {WEB: "forbidden", DB: "late"})
    assert [item.getMessage() for item in caplog.records] == ["MeshNode db: away"]
