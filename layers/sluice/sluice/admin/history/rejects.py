"""What of a channel is not in its index, why, and what to do about it."""

from __future__ import annotations

from functools import partial
from typing import Literal

import msgspec

from sluice.admin.history.reject_advice import advice
from sluice.admin.session.channel import Channel
from sluice.admin.session.subdirs import find_subdirs
from sluice.errors import DECODE_ERRORS, Corrupt
from sluice.layout import Subdir
from sluice.publish.rejects_document import FORMAT
from sluice.storage.object_id import Identity


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One file that something is wrong with."""

    subdir: str
    file: str
    kind: Literal["reject", "warning", "problem"]
    """*reject*: the package is not in the index; *warning*: it is, all the same; *problem*: a
    configuration or a patch that is not in force."""
    code: str
    sentence: str
    at: int | None
    """When it was found, ms since the epoch; not known of warnings."""
    advice: str


class _Told(msgspec.Struct):
    filename: str
    code: str
    sentence: str
    identity: Identity | None = None
    rejected_at: int | None = None
    at: int | None = None


class _Document(msgspec.Struct):
    format: int
    rejects: list[_Told] = []
    warnings: list[_Told] = []
    problems: list[_Told] = []


def rejects(channel: Channel) -> list[Finding]:
    """Tell what was rejected, by subdir and file, from the documents that merges publish.

    One request per subdir.  Raises ``Unavailable`` and ``Corrupt``.

    >>> [(one.file, one.code) for one in rejects(channel)]
    []
    """
    subdirs = find_subdirs(channel)
    found = channel.gather(partial(_findings, channel), subdirs)
    return [one for findings in found for one in findings]


def _findings(channel: Channel, subdir: Subdir) -> list[Finding]:
    stored = channel.state.get(subdir.rejects)
    if stored is None:
        return []
    document = _decode(stored.body, what=subdir.rejects)

    def made(kind: Literal["reject", "warning", "problem"], told: list[_Told]) -> list[Finding]:
        return [
            Finding(
                subdir=subdir.name,
                file=one.filename,
                kind=kind,
                code=one.code,
                sentence=one.sentence,
                at=one.rejected_at if one.at is None else one.at,
                advice=advice(one.code),
            )
            for one in told
        ]

    return [
        *made("problem", document.problems),
        *made("reject", document.rejects),
        *made("warning", document.warnings),
    ]


def _decode(body: bytes, *, what: str) -> _Document:
    try:
        document = msgspec.json.decode(body, type=_Document)
    except DECODE_ERRORS as error:
        raise Corrupt(f"{what}: {error}") from error
    if document.format > FORMAT:
        raise Corrupt(f"{what} has format {document.format}, this sluice knows up to {FORMAT}")
    return document
