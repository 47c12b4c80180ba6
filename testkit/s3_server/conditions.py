"""Conditions and ranges of requests.  Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from enum import StrEnum

from testkit.s3_server.objects import Object
from testkit.s3_server.responses import S3Error

_RANGE = re.compile(r"bytes=(?P<first>\d*)-(?P<last>\d*)")


class Deviation(StrEnum):
    """What other servers do with writes, and AWS does not."""

    BARE_ETAGS = "bare-etags"
    """``If-Match`` is compared with the ETag without its quotes (Ceph RGW)."""
    UNCONDITIONAL_COMPLETION = "unconditional-completion"
    """CompleteMultipartUpload ignores conditions, and answers without an ETag (Ceph RGW)."""
    IF_MATCH_IGNORED = "if-match-ignored"
    IF_NONE_MATCH_IGNORED = "if-none-match-ignored"
    REFUSED = "conditions-error"
    """PutObject under a condition is answered with NotImplemented (OpenStack Swift)."""
    CHECKSUMS_IGNORED = "checksums-ignored"
    """A body need not match its ``x-amz-checksum-*`` (Ceph RGW)."""


def check_write(
    headers: Mapping[str, str],
    current: Object | None,
    deviations: Collection[Deviation] = (),
) -> None:
    """Raise ``S3Error`` where a conditional write must not land on what is there."""
    expected, over_nothing = headers.get("if-match"), "if-none-match" in headers
    if Deviation.REFUSED in deviations and (expected or over_nothing):
        raise S3Error("NotImplemented")
    if over_nothing and current is not None and Deviation.IF_NONE_MATCH_IGNORED not in deviations:
        raise S3Error("PreconditionFailed")
    if expected is None or Deviation.IF_MATCH_IGNORED in deviations:
        return
    if current is None:
        raise S3Error("NoSuchKey")
    etag = current.etag.strip('"') if Deviation.BARE_ETAGS in deviations else current.etag
    if expected not in ("*", etag):
        raise S3Error("PreconditionFailed")


def check_read(expected: str | None, current: Object) -> None:
    """Raise ``S3Error`` where another version is there than the one that was asked for."""
    if expected is not None and expected.strip('"') not in ("*", current.etag.strip('"')):
        raise S3Error("PreconditionFailed")


def byte_range(text: str, size: int) -> tuple[int, int]:
    """The first byte of a range and the one behind its last; raises ``S3Error``."""
    match = _RANGE.fullmatch(text)
    if not match or not (match["first"] or match["last"]):
        raise S3Error("InvalidArgument")
    if not match["first"]:
        first, end = max(0, size - int(match["last"])), size
    else:
        first = int(match["first"])
        end = min(size, int(match["last"]) + 1) if match["last"] else size
    if first >= size or end <= first:
        raise S3Error("InvalidRange")
    return first, end
