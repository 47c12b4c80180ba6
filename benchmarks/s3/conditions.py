"""Conditions and ranges of requests.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from benchmarks.s3.answers import Refused
from benchmarks.s3.objects import Object

_RANGE = re.compile(r"bytes=(?P<first>\d*)-(?P<last>\d*)")


def check_write(headers: Mapping[str, str], current: Object | None) -> None:
    """Raise ``Refused`` where a conditional write must not land on what is there."""
    if "if-none-match" in headers and current is not None:
        raise Refused("PreconditionFailed")
    expected = headers.get("if-match")
    if expected is None:
        return
    if current is None:
        raise Refused("NoSuchKey")
    if expected not in ("*", current.etag):
        raise Refused("PreconditionFailed")


def check_read(expected: str | None, current: Object) -> None:
    """Raise ``Refused`` where another version is there than the one that was asked for."""
    if expected is not None and expected.strip('"') not in ("*", current.etag.strip('"')):
        raise Refused("PreconditionFailed")


def byte_range(told: str, size: int) -> tuple[int, int]:
    """The first byte of a range and the one behind its last; raises ``Refused``."""
    found = _RANGE.fullmatch(told)
    if not found or not (found["first"] or found["last"]):
        raise Refused("InvalidArgument")
    if not found["first"]:
        first, end = max(0, size - int(found["last"])), size
    else:
        first = int(found["first"])
        end = min(size, int(found["last"]) + 1) if found["last"] else size
    if first >= size or end <= first:
        raise Refused("InvalidRange")
    return first, end
