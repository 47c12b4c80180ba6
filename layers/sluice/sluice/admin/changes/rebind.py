"""Rebinds a channel: moves its catalog to another bucket, or to a restored one.

The catalog describes objects: their ETags, and when they were written.  A copy has other ones.
Rebind compares the catalog with what is in the bucket by filename and size, and then

1. marks the binding as being moved: from here on nobody else writes (``bucket_check``);
2. commits once per subdir (``rebind_subdir``), and moves heads that have no tree;
3. binds the channel to the bucket;
4. publishes over the current files of any publisher.

It may be killed anywhere and run again.  A writer in the old bucket that has read its head before
step 1 either wins that head before step 2, which then begins with what it has committed, or loses.
A head that did not exist is created empty before the binding is checked (``merge``), so either step
2 finds it, or its writer finds the mark.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from hashlib import sha256

import msgspec
from msgspec import UNSET

from sluice.admin.changes.commit_edit import send_merge_request
from sluice.admin.changes.rebind_subdir import SubdirRebinder, SubdirRebound
from sluice.admin.session.channel import Channel
from sluice.admin.standalone.merge_in_process import merge_in_process
from sluice.admin.standalone.report import Failure
from sluice.admin.verify.repair import rewrite_channel_files
from sluice.catalog.binding import Binding, binding_object
from sluice.catalog.head import Head, head_object
from sluice.catalog.reader import CatalogReader
from sluice.errors import Corrupt, NotFound, TooNew, Unavailable
from sluice.layout import (
    CHANNELDATA,
    NOTICES,
    PAGE,
    PAGE_DATA,
    RSS,
    Subdir,
    channel_binding_key,
    channel_file_key,
    parse_state_key,
    state_prefix,
)
from sluice.limits import REBIND_EXAMPLES_MAX
from sluice.publish.fence import Stamp
from sluice.publish.publisher import Publisher
from sluice.reconcile.listing import list_subdir
from sluice.storage.versioned_object import LOST, ObjectVersion, read_newest

_CHANNEL_FILES = (CHANNELDATA, RSS, NOTICES, PAGE_DATA)
_DIGEST_CHARS = 12


class Rebinding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a rebind, or of only the comparison."""

    channel: str
    bucket: str
    """The new bucket of the catalog, or the proposed one."""
    bound_to: str | None
    """The previous bucket; ``None`` if there was no binding."""
    done: bool
    doubts: list[str]
    """Reasons why this may be the wrong bucket, or the wrong time; rebind then needs
    ``confirm``."""
    digest: str
    """A name of this comparison, for confirming it."""
    subdirs: list[SubdirRebound]
    failures: list[Failure]
    """Unreadable parts of the catalog; ``repair`` them next."""

    @property
    def packages(self) -> int:
        """Records in the catalog."""
        return sum(subdir.packages for subdir in self.subdirs)

    @property
    def packages_present(self) -> int:
        """Records whose files are in the bucket with the same size."""
        return sum(subdir.there for subdir in self.subdirs)


def rebind(
    channel: Channel,
    *,
    confirm: str | None = None,
    dry_run: bool = False,
    max_age_seconds: int,
    brake_days: int,
) -> Rebinding:
    """Bind the catalog of a channel to the bucket that ``channel`` was opened with.

    If there are ``doubts``, nothing is done unless ``confirm`` is the ``digest`` of that
    comparison.  ``max_age_seconds``: how long clients may cache an index file.  ``brake_days``: see
    ``existing_index.read_existing_index``.

    Raises ``NotFound`` if there is no catalog of the channel, ``ForeignOwner`` for the folder of a
    snapshot, ``Unavailable``, also if another rebind is running, and ``TooNew``.
    """
    before = _read_binding(channel)
    rebinder = _ChannelRebinder(channel, brake_days)
    subdirs = rebinder.heads()
    # A first commit that was killed leaves a binding and no head.
    if not subdirs and before.value is None:
        raise NotFound(
            f"the state {channel.owner} has no catalog of the channel {channel.name!r}. Check "
            "--state or --stack"
        )
    compared = rebinder.compare(subdirs)
    failures = list(rebinder.failures)
    rebinding = Rebinding(
        channel=channel.name,
        bucket=channel.bucket,
        bound_to=before.value.bucket if before.value else None,
        done=False,
        doubts=_find_doubts(channel, compared, failures),
        digest=_comparison_digest(channel, compared, failures),
        subdirs=compared,
        failures=failures,
    )
    if dry_run or (rebinding.doubts and confirm != rebinding.digest):
        return rebinding
    moving = _write_binding(channel, before, moving=True)
    moved = rebinder.move(moving)
    _write_binding(channel, moving, moving=False)
    _publish(channel, [channel.subdir(subdir.subdir) for subdir in moved], max_age_seconds)
    return msgspec.structs.replace(rebinding, done=True, subdirs=moved, failures=rebinder.failures)


class _ChannelRebinder:
    """Rebinds the subdirs of one channel."""

    def __init__(self, channel: Channel, brake_days: int) -> None:
        self._channel = channel
        self._brake_days = brake_days
        self.failures: list[Failure] = []
        """The failures of the last pass over the subdirs."""

    def heads(self) -> list[Subdir]:
        """The subdirs that have a head."""
        heads = self._channel.state.list(state_prefix("heads", self._channel.name))
        return sorted(filter(None, (parse_state_key(info.key) for info in heads)))

    def compare(self, subdirs: Sequence[Subdir]) -> list[SubdirRebound]:
        """Compare some subdirs with the bucket, without changes."""
        self.failures = []
        return [rebound for subdir in subdirs if (rebound := self._rebind_subdir(subdir, None))]

    def move(self, moving: ObjectVersion[Binding | None]) -> list[SubdirRebound]:
        """Commit every subdir for this bucket, including new ones."""
        self.failures = []
        moved: list[SubdirRebound] = []
        done: set[Subdir] = set()
        while new := [subdir for subdir in self.heads() if subdir not in done]:
            moved += [rebound for subdir in new if (rebound := self._rebind_subdir(subdir, moving))]
            done.update(new)
        return moved

    def _rebind_subdir(
        self, subdir: Subdir, moving: ObjectVersion[Binding | None] | None
    ) -> SubdirRebound | None:
        """Rebind one subdir; damage to it does not stop the others."""
        rebinder = SubdirRebinder(self._channel, subdir, self._brake_days)
        try:
            rebound = rebinder.move(moving) if moving else rebinder.compare()
        except TooNew:
            raise
        except Corrupt as error:
            self._add_failure(subdir.name, error)
            return None
        for name, damage in rebinder.damaged.items():
            self._add_failure(f"{subdir.name}, package {name}", damage)
        return rebound

    def _add_failure(self, what: str, error: Corrupt) -> None:
        self.failures.append(Failure(object=what, reason=f"{type(error).__name__}: {error}"))


def _find_doubts(
    channel: Channel, compared: Sequence[SubdirRebound], failures: Collection[Failure]
) -> list[str]:
    doubts = [
        f"{row.subdir}: the bucket has only {row.there} of {row.packages} packages"
        for row in compared
        if row.there * 2 < row.packages
    ]
    doubts += [
        f"{row.subdir}: pinned files are missing from the bucket: {_join(row.missing_pins)}. If "
        "they are copied later, they enter the index"
        for row in compared
        if row.missing_pins
    ]
    doubts += [f"{row.object}: {row.reason}" for row in failures]
    if not any(row.packages for row in compared):
        objects = sum(
            list_subdir(channel.public, channel.subdir(row.subdir)).package_count
            for row in compared
        )
        if objects:
            doubts.append(f"the catalog knows none of the {objects} packages in the bucket")
    return doubts


def _join(files: Sequence[str]) -> str:
    more = len(files) - REBIND_EXAMPLES_MAX
    return ", ".join(files[:REBIND_EXAMPLES_MAX]) + (f" and {more} more" if more > 0 else "")


def _comparison_digest(
    channel: Channel, compared: Sequence[SubdirRebound], failures: Collection[Failure]
) -> str:
    parts = [channel.bucket, channel.name, *compared, *failures]
    return sha256(msgspec.json.encode(parts)).hexdigest()[:_DIGEST_CHARS]


def _read_binding(channel: Channel) -> ObjectVersion[Binding | None]:
    """The binding; a damaged one is replaced, under its ETag."""
    try:
        return binding_object(channel.state, channel.name).read()
    except TooNew:
        raise
    except Corrupt:
        info = channel.state.head(channel_binding_key(channel.name))
        return ObjectVersion(None, info.etag if info else None)


def _write_binding(
    channel: Channel, before: ObjectVersion[Binding | None], *, moving: bool
) -> ObjectVersion[Binding | None]:
    known = before.value
    binding = Binding(
        bucket=(known.bucket if known else None) if moving else channel.bucket,
        moving_to=channel.bucket if moving else UNSET,
        endpoint=channel.endpoint,
        created_at=channel.clock(),
        writer=channel.new_id(),
    )
    written = binding_object(channel.state, channel.name).swap(binding, expected=before.etag)
    if written is LOST:
        raise Unavailable(
            f"another rebind of the channel {channel.name!r} is in progress. Try again later"
        )
    return written


def _publish(channel: Channel, subdirs: Sequence[Subdir], max_age_seconds: int) -> None:
    """Publish over the current files: the state that published them may have another name."""
    publisher = Publisher(
        channel.public, channel.state, channel.owner or "", max_age_seconds, adopt=True
    )

    def publish(subdir: Subdir, version: ObjectVersion[Head]) -> None:
        # After the head was read, as everywhere: it may belong to another bucket again.
        channel.bucket_check.check_binding(channel.name)
        catalog = CatalogReader(channel.state, subdir, channel.executor)
        publisher.publish(subdir, version.value, catalog, tidy=True, executor=channel.executor)

    for subdir in subdirs:
        read_newest(head_object(channel.state, subdir), partial(publish, subdir))
    _publish_channel_files(channel, max_age_seconds)
    for subdir in subdirs:
        send_merge_request(channel, subdir)
    if channel.merges is None:
        merge_in_process(channel, subdirs)


def _publish_channel_files(channel: Channel, max_age_seconds: int) -> None:
    """Publish the files of the whole channel over the current ones.

    Their generations prove nothing here, because a restored state counts again from an older one.
    """
    stamped: list[str] = []
    for file in (*_CHANNEL_FILES, PAGE):
        info = channel.public.head(channel_file_key(channel.name, file))
        stamp = Stamp.parse(info.metadata) if info else None
        if stamp and (file != PAGE or stamp.owner != channel.owner):
            stamped.append(channel_file_key(channel.name, file))
    rewrite_channel_files(channel, stamped, max_age_seconds)
