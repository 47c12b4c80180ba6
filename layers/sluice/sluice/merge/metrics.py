"""The metrics and log lines of the merge function."""

from __future__ import annotations

from dataclasses import asdict

from sluice.channel_files.merge import ChannelReport
from sluice.merge.handler import Report
from sluice.merge.outcome import MergeReport
from sluice.telemetry import LogLine, Metric

_FILES_LOGGED = 100
"""Files that one log line names: a taken-over index may have half a million."""


def merge_metrics(report: Report, *, duration_ms: int) -> list[Metric]:
    """The metrics for CloudWatch; a repeated metric has several values."""
    counts = [Metric(name, count) for name, count in _counts(report).items()]
    if isinstance(report, ChannelReport):
        return counts
    duration = Metric("MergeDuration", duration_ms, "Milliseconds")
    return [*counts, duration, *(Metric("IndexLag", ms, "Milliseconds") for ms in report.lags_ms)]


def merge_log_lines(report: Report, *, duration_ms: int) -> list[LogLine]:
    """The log line of the merge, after one for each problem that a person should look at."""
    if isinstance(report, ChannelReport):
        return [LogLine("info", "merged the channel", asdict(report))]
    return [*_complaints(report), LogLine("info", "merged", _fields(report, duration_ms))]


def _complaints(report: MergeReport) -> list[LogLine]:
    lines = [
        LogLine(
            "error",
            "invalid configuration or patch",
            {"file": problem.filename, "code": problem.code, "sentence": problem.sentence},
        )
        for problem in report.problems
    ]
    lines += [
        LogLine("error", "package set aside, because it cannot be merged", {"sentence": sentence})
        for sentence in report.isolated
    ]
    if warned := report.difference.warned:
        lines.append(LogLine("warning", "timestamps after indexing", {"files": warned}))
    if noted := report.difference.noted:
        lines.append(LogLine("warning", "indexed with a warning", {"files": noted[:_FILES_LOGGED]}))
    return lines


def _fields(report: MergeReport, duration_ms: int) -> dict[str, object]:
    return {
        "generation": report.generation,
        "staged": report.staged,
        "staged_by_newer_version": report.too_new,
        "rejects_left_out": report.rejects_left_out,
        "taken_over": report.taken_over,
        "left_out": report.left_out,
        "waiting": report.waiting.files if report.waiting else 0,
        "files_written": report.files_written,
        "unfinished": report.unfinished,
        "names_left": report.names_left,
        "duration_ms": duration_ms,
        **_counts(report),
    }


def _counts(report: Report) -> dict[str, int]:
    counts = {
        "ForeignIndexWrites": report.foreign_overwritten,
        "StagingSetAside": report.set_aside,
    }
    if isinstance(report, ChannelReport):
        return counts
    changed = report.difference
    return {
        "PackagesIndexed": len(changed.added) + len(changed.replaced),
        "PackagesRemoved": len(changed.removed),
        # Uploads that cannot be used: one alarm for all of them.
        "PackagesRejected": len(changed.rejected) + len(report.problems),
        "TimestampWarnings": len(changed.warned),
        **counts,
        "StagingSetAside": report.set_aside + len(report.isolated),
    }
