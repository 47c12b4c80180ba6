"""Removes packages, so that no client gets a 404.

An index with a missing file makes installations fail.  So the file leaves the index first, as a
pin.  After that is published, and clients' cached indexes have expired, the object is deleted.  The
merge that handles its removal drops the pin, so nothing is left of either.  A CDN in front of the
channel may have cached the file, so it is then invalidated there.

The removal may stop anywhere and be started again: the pins stay, and their files are then deleted.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable

import msgspec

from sluice.admin.changes.commit_edit import send_merge_request
from sluice.admin.changes.pins import pin
from sluice.admin.changes.wait_published import Pause, wait_until_published
from sluice.admin.session.cdn import Invalidation, invalidate
from sluice.admin.session.channel import Channel
from sluice.admin.session.subdirs import find_subdirs
from sluice.admin.standalone.merge_in_process import merge_in_process
from sluice.catalog.head import read_head
from sluice.conda.names import is_subdir
from sluice.errors import Misused, NotFound
from sluice.extract import extract, staging
from sluice.extract.staging import Removed
from sluice.layout import Subdir, is_package_file
from sluice.storage.object_id import ObjectId
from sluice.storage.object_store import describe_object

REASON = "To be removed."
GRACE_SECONDS = 60
"""Time that clients may use a cached index file: the template's default."""


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a removal in one subdir."""

    subdir: str
    generation: int
    """The generation without the packages."""
    deleted: list[str]
    gone: list[str]
    """Files that had already been deleted."""
    overwritten: list[str]
    """Files that were uploaded again meanwhile: they are kept, and come back into the index."""
    invalidations: list[Invalidation] = []
    """Invalidations on the stack's distribution; empty if there is none."""


def locate_packages(channel: Channel, packages: Iterable[str]) -> dict[Subdir, list[str]]:
    """Find packages by ``subdir/file``, or by the file alone if only one subdir has it.

    Raises ``Misused`` for an invalid filename and for a file in several subdirs, and ``NotFound``.
    """
    located: dict[Subdir, list[str]] = {}
    known: list[Subdir] | None = None
    for package in packages:
        folder, _, file = package.rpartition("/")
        if not is_package_file(file) or (folder and not is_subdir(folder)):
            raise Misused(f"{package!r} is not a package: name it as <subdir>/<file>.conda")
        if folder:
            subdirs = [channel.subdir(folder)]
        else:
            known = find_subdirs(channel) if known is None else known
            subdirs = [
                candidate
                for candidate in known
                if describe_object(channel.public, candidate.file_key(file))
            ]
        if len(subdirs) > 1:
            names = ", ".join(f"{subdir.name}/{file}" for subdir in subdirs)
            raise Misused(f"{file} is in several subdirs: name it as one of {names}")
        if not subdirs:
            raise NotFound(f"{file} is in no subdir of {channel.name or 'the channel'}")
        located.setdefault(subdirs[0], []).append(file)
    return located


def remove(
    channel: Channel,
    subdir: Subdir,
    files: Collection[str],
    *,
    reason: str = REASON,
    grace_seconds: float = GRACE_SECONDS,
    pause: Pause = time.sleep,
) -> Removal:
    """Remove packages from the index, wait until clients have a new one, and delete the files.

    Cached copies on the distribution of the channel's stack are invalidated.  If that is not
    permitted or fails, the result says so and has the command to run.

    ``grace_seconds``: how long clients may use a cached index, see ``IndexCacheMaxAge``.  Raises
    ``NotFound`` if a package does not exist, before anything is done, and ``Unavailable``, after
    which the removal can be started again.

    >>> from dataclasses import replace
    >>> stackless = replace(channel, merges=None)  # without a stack, merges are done here
    >>> linux = channel.subdir("linux-64")
    >>> remove(stackless, linux, ["beta-1.0-py312_0.conda"], grace_seconds=0).deleted
    ['beta-1.0-py312_0.conda']
    """
    pinned = pin(channel, subdir, files, reason=reason)
    generation = read_head(channel.state, subdir).value.generation
    wait_until_published(channel, subdir, generation, pause=pause)
    if pinned.identities:
        pause(grace_seconds)
    deleted: list[str] = []
    overwritten: list[str] = []
    for file, identity in sorted(pinned.identities.items()):
        # An upload between this HEAD and the deletion is deleted, too; versioning keeps it.
        current = describe_object(channel.public, subdir.file_key(file))
        if current is not None and ObjectId.from_info(current) != identity:
            overwritten.append(file)
        else:
            channel.public.delete([subdir.file_key(file)])
            deleted.append(file)
    gone = sorted(set(files) - pinned.identities.keys())
    # All of them: deleted ones may still be cached, and overwritten ones in their old form.
    keys = [subdir.file_key(file) for file in sorted(set(files))]
    invalidations = invalidate(channel.stack, keys, new_id=channel.new_id)
    _stage_removals(channel, subdir, [*deleted, *gone])
    return Removal(
        subdir=subdir.name,
        generation=generation,
        deleted=deleted,
        gone=gone,
        overwritten=overwritten,
        invalidations=invalidations,
    )


def _stage_removals(channel: Channel, subdir: Subdir, files: Iterable[str]) -> None:
    """Let the pins go with their files; the event of the deletion may be late or missing."""
    for file in files:
        record = Removed(filename=file, extractor=extract.EXTRACTOR_VERSION, at=channel.clock())
        staging.write_staging_record(channel.state, subdir, record, unique_id=channel.new_id())
    if channel.merges:
        send_merge_request(channel, subdir)
    else:
        merge_in_process(channel, [subdir])
