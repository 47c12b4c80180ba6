"""The files of a channel that are not in its index, the reasons, and how to fix them.

Also warnings about files that are in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Literal

import msgspec

from sluice.admin.history.reject_advice import reject_advice
from sluice.admin.session.channel import Channel
from sluice.admin.session.subdirs import find_subdirs
from sluice.conda.timestamps import EpochMs
from sluice.errors import DECODE_ERRORS, Corrupt
from sluice.layout import Subdir
from sluice.publish.rejects_document import FORMAT
from sluice.storage.object_id import ObjectId

_OMITTED = "not-listed"


class FileIssue(msgspec.Struct, frozen=True, kw_only=True):
    """A problem with one file."""

    subdir: str
    file: str
    """Empty for *omitted*."""
    kind: Literal["reject", "warning", "problem", "omitted"]
    """*reject*: the package was judged, and is not in the index; *warning*: something is odd about
    it, and it is in the index or waits to be read; *problem*: a configuration or a patch that is
    not active; *omitted*: rejects and warnings of the subdir that are not listed, because there are
    too many."""
    code: str
    sentence: str
    at: EpochMs | None
    """Time of the problem; not known for warnings."""
    advice: str


class _DocumentEntry(msgspec.Struct):
    filename: str
    code: str
    sentence: str
    identity: ObjectId | None = None
    rejected_at: EpochMs | None = None
    at: EpochMs | None = None


class _Omitted(msgspec.Struct, frozen=True):
    rejects: int = 0
    warnings: int = 0


class _Document(msgspec.Struct):
    format: int
    rejects: list[_DocumentEntry] = []
    warnings: list[_DocumentEntry] = []
    problems: list[_DocumentEntry] = []
    omitted: _Omitted = _Omitted()


def rejects(channel: Channel) -> list[FileIssue]:
    """The rejects, by subdir and file, from the documents that merges publish.

    One request per subdir.  Raises ``Unavailable`` and ``Corrupt``.

    >>> [(issue.file, issue.code) for issue in rejects(channel)]
    []
    """
    subdirs = find_subdirs(channel)
    issues_by_subdir = channel.executor.map(partial(_read_issues, channel), subdirs)
    return [issue for issues in issues_by_subdir for issue in issues]


def _read_issues(channel: Channel, subdir: Subdir) -> list[FileIssue]:
    stored = channel.state.get(subdir.rejects_key)
    if stored is None:
        return []
    document = _decode_document(stored.body, what=subdir.rejects_key)

    def issues_of(
        kind: Literal["reject", "warning", "problem"], entries: list[_DocumentEntry]
    ) -> list[FileIssue]:
        return [
            FileIssue(
                subdir=subdir.name,
                file=entry.filename,
                kind=kind,
                code=entry.code,
                sentence=entry.sentence or _sentence_not_kept(entry.filename),
                at=entry.rejected_at if entry.at is None else entry.at,
                advice=reject_advice(entry.code, is_warning=kind == "warning"),
            )
            for entry in entries
        ]

    return [
        *issues_of("problem", document.problems),
        *issues_of("reject", document.rejects),
        *issues_of("warning", document.warnings),
        *_omitted_issues(subdir, document.omitted),
    ]


def _sentence_not_kept(filename: str) -> str:
    return (
        f"{filename} cannot be indexed. This package has so many rejects that sluice keeps only "
        "the code of each reason."
    )


def _omitted_issues(subdir: Subdir, omitted: _Omitted) -> Iterator[FileIssue]:
    if omitted.rejects or omitted.warnings:
        yield FileIssue(
            subdir=subdir.name,
            file="",
            kind="omitted",
            code=_OMITTED,
            sentence=(
                f"{omitted.rejects:,} more rejects and {omitted.warnings:,} more warnings are not "
                "listed."
            ),
            at=None,
            advice=reject_advice(_OMITTED),
        )


def _decode_document(body: bytes, *, what: str) -> _Document:
    try:
        document = msgspec.json.decode(body, type=_Document)
    except DECODE_ERRORS as error:
        raise Corrupt(f"{what}: {error}") from error
    if document.format > FORMAT:
        raise Corrupt(
            f"{what} has format {document.format}, but this version of sluice reads formats up to "
            f"{FORMAT}. Upgrade sluice"
        )
    return document
