"""Extract: from an event about one object to a staging record and a merge request.

The event only says which object to read.  Extract stages what it reads, and writes the record
before it requests the merge.  If the function dies in between, the message is delivered again.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import UNSET, UnsetType

from sluice.catalog.entry import NOT_EXTRACTED
from sluice.catalog.file_warnings import (
    RUN_EXPORTS_UNREADABLE,
    FileWarning,
    make_file_warning,
)
from sluice.conda.record import make_record
from sluice.conda.timestamps import Clock, EpochMs
from sluice.errors import BadPackage, Changed, LimitExceeded, Unavailable
from sluice.extract import staging
from sluice.extract.staging import FileVerdict, Indexed, Rejected, Removed
from sluice.layout import PackageKey
from sluice.limits import EXTRACT_ATTEMPTS_MAX
from sluice.messages import merge_request
from sluice.package.read_limits import FULL_READ, ReadLimits
from sluice.package.reader import PackageContents, PackageRead, read_package
from sluice.runtime import Runtime
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import ObjectStore, describe_object
from sluice.text import printable

EXTRACTOR_VERSION = 3
"""Version of the extractor: raised when it would judge packages differently than before.

2: packages that need revision 3 of repodata (CEP 48) are indexed.  3: packages with sparse members
are indexed, and run exports that cannot be read are unknown instead of none."""
RECORDS_SINCE = 3
"""The first version that makes the same records as this one; its rejects may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractorContext(Runtime):
    """Dependencies of extracting one package."""

    trust_uploader_digests: bool
    """Whether ``package-sha256`` in an object's metadata counts as its digest."""
    receives_max: int
    """Deliveries of a message before it goes to the dead-letter queue."""


def extract(
    ctx: ExtractorContext,
    key: PackageKey,
    *,
    size_hint: int | None = None,
    receive_count: int = 1,
) -> FileVerdict:
    """Read one object with the full limits, stage the verdict and request a merge.

    Returns the verdict.  ``size_hint`` is the event's size in bytes.  ``receive_count`` is the
    number of deliveries of its message.  Raises ``Unavailable`` if a retry may help.
    """
    _prepare_for_last_try(ctx, key, receive_count)
    record = examine(
        ctx.channel,
        key,
        size_hint=size_hint,
        trust_uploader_digests=ctx.trust_uploader_digests,
        clock=ctx.clock,
    )
    _stage(ctx, key, record)
    return record


def extract_within(
    ctx: ExtractorContext,
    key: PackageKey,
    *,
    limits: ReadLimits,
    size_hint: int | None = None,
    receive_count: int = 1,
) -> FileVerdict | LimitExceeded:
    """Do what ``extract`` does, unless the object exceeds ``limits``: then stage nothing."""
    _prepare_for_last_try(ctx, key, receive_count)
    package = _read(ctx.channel, key, limits, size_hint, trust_uploader=ctx.trust_uploader_digests)
    if package and isinstance(package.outcome, LimitExceeded):
        return package.outcome
    record = _judge(key, package, at=ctx.clock())
    _stage(ctx, key, record)
    return record


def examine(
    channel: ObjectStore,
    key: PackageKey,
    *,
    size_hint: int | None,
    trust_uploader_digests: bool,
    clock: Clock,
) -> FileVerdict:
    """Read one object with the full limits and judge it as ``extract`` does, but stage nothing."""
    package = _read(channel, key, FULL_READ, size_hint, trust_uploader=trust_uploader_digests)
    return _judge(key, package, at=clock())


def _prepare_for_last_try(ctx: ExtractorContext, key: PackageKey, receive_count: int) -> None:
    """Stage a reject before the last try, which may kill this process as earlier tries did.

    If the last try succeeds, its verdict takes precedence over this one.
    """
    if receive_count < ctx.receives_max:
        return
    tries = receive_count - 1
    info = describe_object(ctx.channel, key.key)
    if info is None:
        return
    sentence = (
        f"{printable(key.filename)} could not be read in {tries} attempts: reading it failed, or "
        "took more memory or time than the function has, or it is encrypted with a key that sluice "
        "is not allowed to use. Upload it again to retry."
    )
    record = Rejected(
        filename=key.filename,
        extractor=NOT_EXTRACTED,
        at=ctx.clock(),
        identity=ObjectId.from_info(info),
        code="unreadable",
        sentence=sentence,
    )
    _stage(ctx, key, record)


def _read(
    channel: ObjectStore,
    key: PackageKey,
    limits: ReadLimits,
    size_hint: int | None,
    *,
    trust_uploader: bool,
) -> PackageRead | None:
    for _ in range(EXTRACT_ATTEMPTS_MAX):
        try:
            return read_package(
                channel,
                key.key,
                limits,
                size_hint=size_hint,
                trust_uploader_digests=trust_uploader,
            )
        except Changed:
            size_hint = None  # it was for the previous version
    raise Unavailable(
        f"{key.key} was overwritten during each of {EXTRACT_ATTEMPTS_MAX} attempts to read it"
    )


def _judge(key: PackageKey, package: PackageRead | None, *, at: EpochMs) -> FileVerdict:
    if package is None:
        return Removed(filename=key.filename, extractor=EXTRACTOR_VERSION, at=at)
    identity = ObjectId.from_info(package.info)
    contents = package.outcome
    try:
        if isinstance(contents, BadPackage):
            raise contents
        return Indexed(
            filename=key.filename,
            extractor=EXTRACTOR_VERSION,
            at=at,
            identity=identity,
            record=make_record(
                contents.index,
                key.filename,
                key.subdir.name,
                size=package.info.size,
                digests=contents.digests,
            ),
            digests_from={
                "sha256": contents.digests.sha256_from,
                "md5": contents.digests.md5_from,
            },
            run_exports=contents.run_exports,
            channeldata=contents.channeldata,
            warnings=_warnings(key, contents),
        )
    except BadPackage as bad:
        return Rejected(
            filename=key.filename,
            extractor=EXTRACTOR_VERSION,
            at=at,
            identity=identity,
            code=bad.code,
            sentence=bad.sentence,
            sha256=UNSET if isinstance(contents, BadPackage) else contents.digests.sha256,
        )


def _warnings(key: PackageKey, contents: PackageContents) -> tuple[FileWarning, ...] | UnsetType:
    if contents.run_exports_problem is None:
        return UNSET
    sentence = (
        f"The run exports of {key.filename} are not valid: {contents.run_exports_problem}. So the "
        "index omits them (CEP 21)."
    )
    return (make_file_warning(RUN_EXPORTS_UNREADABLE, sentence),)


def _stage(ctx: ExtractorContext, key: PackageKey, record: FileVerdict) -> None:
    staging.write_staging_record(ctx.state, key.subdir, record, unique_id=ctx.new_id())
    # The clock is read after the PUT returned, see ``merge_request``.
    merge_request.merge_message(
        key.subdir, now_ms=ctx.clock(), debounce_seconds=ctx.debounce_seconds
    ).send_to(ctx.merge_queue)
