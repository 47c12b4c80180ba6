"""Writes the log of the process, as lines for people or as JSON lines."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any, TextIO

from sluice.conda.timestamps import Clock
from sluice.telemetry import LogLine
from sluice.text import printable


@dataclass(frozen=True, slots=True)
class Journal:
    """Writes log lines.  Thread-safe."""

    json: bool
    clock: Clock
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    _lock: Lock = field(default_factory=Lock, init=False)

    def write(self, line: LogLine) -> None:
        """Write a line."""
        seconds = self.clock() / 1000
        at = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
        text = self._as_json(line, at) if self.json else _as_text(line, at)
        with self._lock:
            self.stream.write(text + "\n")
            self.stream.flush()

    def _as_json(self, line: LogLine, at: str) -> str:
        return json.dumps({"at": at, "level": line.level, "message": line.message, **line.fields})


def _as_text(line: LogLine, at: str) -> str:
    fields = "".join(f" {name}={_word(value)}" for name, value in line.fields.items())
    return f"{at} {line.level} {line.message}{fields}"


def _word(value: Any) -> str:
    text = printable(value if isinstance(value, str) else json.dumps(value))
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text
