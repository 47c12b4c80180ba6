"""The log lines of the extract function."""

from __future__ import annotations

from sluice.extract.handler import (
    ChannelNotified,
    EventIgnored,
    Outcome,
    PackageDeferred,
    PackageStaged,
    UploadMisplaced,
)
from sluice.extract.lanes import Lane
from sluice.extract.staging import FileVerdict, Indexed, Rejected, Removed
from sluice.layout import PackageKey
from sluice.messages.delivery import Delivery
from sluice.telemetry import LogLine


def extract_log_line(outcome: Outcome) -> LogLine:
    """The log line for the result of one event."""
    match outcome:
        case PackageStaged(key, record):
            return LogLine("info", "staged", _place(key) | _verdict(record))
        case PackageDeferred(key, reason):
            fields = {"code": reason.code, "sentence": reason.sentence}
            return LogLine("info", "to be read in the slow lane", _place(key) | fields)
        case ChannelNotified(channel, subdirs):
            names = [subdir.name for subdir in subdirs]
            return LogLine("info", "configured", {"channel": channel, "subdirs": names})
        case UploadMisplaced(key, reason):
            sentence = "has the suffix of a package, but a key that cannot be indexed"
            return LogLine("warning", sentence, {"key": key, "reason": reason})
        case EventIgnored(ignored):
            # An existing bucket may be full of such keys, and logging each would cost money.
            return LogLine("debug", "not a package of this channel bucket", {"key": ignored})


def upload_retry_fields(delivery: Delivery, lane: Lane) -> dict[str, int | str]:
    """The fields of the log line about a failed message."""
    count = delivery.receive_count
    return {"received": count, "wait_seconds": lane.retry.seconds(count), "event": delivery.body}


def _place(key: PackageKey) -> dict[str, str]:
    return {"channel": key.subdir.channel, "subdir": key.subdir.name, "filename": key.filename}


def _verdict(record: FileVerdict) -> dict[str, str]:
    match record:
        case Rejected(code=code, sentence=sentence):
            return {"verdict": "rejected", "code": code, "sentence": sentence}
        case Removed():
            return {"verdict": "removed"}
        case Indexed():
            return {"verdict": "indexed"}
