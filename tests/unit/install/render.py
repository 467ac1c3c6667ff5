"""Reads the chart's templates as Helm would: those forms that install/helm.py writes, and no other.

Another form is an error, so that nothing gets into the chart that this does not judge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

_LINE = re.compile(r"\{\{- (?:(if|range) (.+)|(end)) \}\}")
_VALUE = re.compile(r"\{\{ (.+?) \| toJson \}\}")
_PRINTF = re.compile(r'printf ("(?:[^"\\]|\\.)*") (.+)')
_PART = re.compile(r"\(toString ([^()]+)\)")
_NOT = re.compile(r"\(not (.+)\)")
_HAS = re.compile(r"\(\$\.Capabilities\.APIVersions\.Has (\"[^\"]+\")\)")


class Chart:
    def __init__(self, values: dict[str, Any], namespace: str, apis: set[str]) -> None:
        self.names = {
            "$.Release.Namespace": namespace,
            "$.Release.Service": "Helm",
            **{f"$.Values.{path}": value for path, value in values.items()},
        }
        self.apis = apis

    def objects(self, template: str) -> list[dict[str, Any]]:
        lines = [line for line in template.splitlines() if not line.startswith("#")]
        text = "\n".join(self._block(iter(lines), ""))
        return [obj for obj in yaml.safe_load_all(text) if obj is not None]

    def _block(self, lines: Iterator[str], item: str) -> Iterator[str]:
        """Up to the end of the block or of the file."""
        for line in lines:
            command = _LINE.fullmatch(line.strip())
            if command is None:
                yield self._filled(line, item)
            elif command[3]:
                return
            else:
                inside = self._inside(lines)
                if command[1] == "if":
                    yield from self._block(iter(inside), item) if self._holds(command[2]) else ()
                else:
                    for each in self.names[command[2]]:
                        yield from self._block(iter(inside), each)

    def _inside(self, lines: Iterator[str]) -> list[str]:
        depth, found = 1, []
        for line in lines:
            if command := _LINE.fullmatch(line.strip()):
                depth += -1 if command[3] else 1
            if depth == 0:
                return found
            found.append(line)
        raise ValueError("no end")

    def _holds(self, test: str) -> bool:
        if inner := _NOT.fullmatch(test):
            return not self._holds(inner[1])
        if has := _HAS.fullmatch(test):
            return json.loads(has[1]) in self.apis
        return bool(self.names[test])

    def _filled(self, line: str, item: str) -> str:
        text = _VALUE.sub(lambda found: json.dumps(self._value(found[1], item)), line)
        if "{{" in text and "{{" in line:
            assert "{{" not in _VALUE.sub("", line), f"a form that is not known: {line}"
        return text

    def _value(self, expression: str, item: str) -> Any:
        if printf := _PRINTF.fullmatch(expression):
            form = json.loads(printf[1])
            if printf[2] == ".":
                return form % item
            return form % tuple(str(self.names[name]) for name in _PART.findall(printf[2]))
        return self.names[expression]
