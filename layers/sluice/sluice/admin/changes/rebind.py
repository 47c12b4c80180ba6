"""Moving the catalog of a channel to another bucket, or to a restored one.

The catalog describes objects: their ETags, and when they were written.  A copy has other ones.
Rebind compares the catalog with what is in the bucket by filename and size, and then

1. marks the binding as being moved: from here on nobody else writes (``bucket_check``);
2. commits once per subdir (``rebind_subdir``), and moves heads that have no tree;
3. binds the channel to the bucket;
4. publishes over what is there, no matter who published it.

It may be killed anywhere and run again.  A writer in the old bucket that has read its head before
step 1 either wins that head before step 2, which then begins with what it has committed, or loses.
A head that did not exist is created empty before the binding is checked (``merge``), so step 2
meets it, or its writer meets the mark.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from hashlib import sha256

import msgspec
from msgspec import UNSET

from sluice.admin.changes.commit_edit import send_for_merge
from sluice.admin.changes.rebind_subdir import SubdirRebinder, SubdirRebound
from sluice.admin.session.channel import Channel
from sluice.admin.standalone.merge_in_process import merge_here
from sluice.admin.standalone.report import Failure
from sluice.admin.verify.repair import publish_channel_again
from sluice.catalog.binding import UNBOUND, Binding, binding_object
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
    channel_binding,
    channel_file,
    parse_state_key,
    state_folder,
)
from sluice.limits import REBIND_EXAMPLES_MAX
from sluice.publish.fence import Stamp
from sluice.publish.publisher import Publisher
from sluice.reconcile.listing import list_subdir
from sluice.storage.versioned_object import LOST, Version, read_newest

_CHANNEL_FILES = (CHANNELDATA, RSS, NOTICES, PAGE_DATA)
_DIGEST_CHARS = 12


class Rebinding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a rebind, or of the comparison alone."""

    channel: str
    bucket: str
    """The one that the catalog belongs to now, or would."""
    bound_to: str | None
    """The one before; ``None`` where no binding said so."""
    done: bool
    doubts: list[str]
    """Why this may be the wrong bucket, or the wrong time; rebind then needs ``confirm``."""
    digest: str
    """Names this comparison, to confirm it by."""
    subdirs: list[SubdirRebound]
    failures: list[Failure]
    """What of the catalog cannot be read; ``repair`` it next."""

    @property
    def packages(self) -> int:
        """Records in the catalog."""
        return sum(one.packages for one in self.subdirs)

    @property
    def there(self) -> int:
        """Of those, how many are in the bucket with the same size."""
        return sum(one.there for one in self.subdirs)


def rebind(
    channel: Channel,
    *,
    confirm: str | None = None,
    dry_run: bool = False,
    max_age_seconds: int,
    brake_days: int,
) -> Rebinding:
    """Bind the catalog of a channel to the bucket that ``channel`` was opened with.

    Where there are ``doubts``, nothing is done unless ``confirm`` is the ``digest`` of that
    comparison.  ``max_age_seconds``: how long clients may keep an index file.  ``brake_days``: see
    ``base.read_base``.

    Raises ``NotFound`` where there is no catalog of the channel, ``ForeignOwner`` for the folder
    of a snapshot, ``Unavailable``, also where another rebind is under way, and ``TooNew``.
    """
    before = _read_binding(channel)
    work = _Rebind(channel, brake_days)
    subdirs = work.heads()
    # A first commit that was killed leaves a binding and no head.
    if not subdirs and before == UNBOUND:
        raise NotFound(f"this state has no catalog of the channel {channel.name!r}")
    compared = work.compare(subdirs)
    failures = list(work.failures)
    found = Rebinding(
        channel=channel.name,
        bucket=channel.bucket,
        bound_to=before.value.bucket if before.value else None,
        done=False,
        doubts=_doubts(channel, compared, failures),
        digest=_digest(channel, compared, failures),
        subdirs=compared,
        failures=failures,
    )
    if dry_run or (found.doubts and confirm != found.digest):
        return found
    moving = _write_binding(channel, before, moving=True)
    moved = work.move(moving)
    _write_binding(channel, moving, moving=False)
    _publish(channel, [channel.subdir(one.subdir) for one in moved], max_age_seconds)
    return msgspec.structs.replace(found, done=True, subdirs=moved, failures=work.failures)


class _Rebind:
    """The subdirs of one channel."""

    def __init__(self, channel: Channel, brake_days: int) -> None:
        self._channel = channel
        self._brake_days = brake_days
        self.failures: list[Failure] = []
        """Of the last pass over the subdirs."""

    def heads(self) -> list[Subdir]:
        """The subdirs that have a head."""
        heads = self._channel.state.list(state_folder("heads", self._channel.name))
        return sorted(filter(None, (parse_state_key(info.key) for info in heads)))

    def compare(self, subdirs: Sequence[Subdir]) -> list[SubdirRebound]:
        """Compare some subdirs with the bucket, and change nothing."""
        self.failures = []
        return [found for subdir in subdirs if (found := self._do(subdir, None))]

    def move(self, moving: Version[Binding | None]) -> list[SubdirRebound]:
        """Commit every subdir as one of this bucket, also those that have come meanwhile."""
        self.failures = []
        moved: list[SubdirRebound] = []
        done: set[Subdir] = set()
        while new := [subdir for subdir in self.heads() if subdir not in done]:
            moved += [found for subdir in new if (found := self._do(subdir, moving))]
            done.update(new)
        return moved

    def _do(self, subdir: Subdir, moving: Version[Binding | None] | None) -> SubdirRebound | None:
        """Do one subdir; what is damaged about it does not stop the others."""
        work = SubdirRebinder(self._channel, subdir, self._brake_days)
        try:
            found = work.move(moving) if moving else work.compare()
        except TooNew:
            raise
        except Corrupt as error:
            self._fail(subdir.name, error)
            return None
        for name, damage in work.damaged.items():
            self._fail(f"{subdir.name}, package {name}", damage)
        return found

    def _fail(self, what: str, error: Corrupt) -> None:
        self.failures.append(Failure(object=what, reason=f"{type(error).__name__}: {error}"))


def _doubts(
    channel: Channel, compared: Sequence[SubdirRebound], failures: Collection[Failure]
) -> list[str]:
    doubts = [
        f"{one.subdir}: only {one.there} of {one.packages} packages are there"
        for one in compared
        if one.there * 2 < one.packages
    ]
    doubts += [
        f"{one.subdir}: not there, though kept out of the index: {_some(one.missing_pins)}. Copied "
        "later, it would come into the index"
        for one in compared
        if one.missing_pins
    ]
    doubts += [f"{one.object}: {one.reason}" for one in failures]
    if not any(one.packages for one in compared):
        there = sum(
            list_subdir(channel.public, channel.subdir(one.subdir)).objects for one in compared
        )
        if there:
            doubts.append(f"the catalog knows none of the {there} packages that are there")
    return doubts


def _some(files: Sequence[str]) -> str:
    more = len(files) - REBIND_EXAMPLES_MAX
    return ", ".join(files[:REBIND_EXAMPLES_MAX]) + (f" and {more} more" if more > 0 else "")


def _digest(
    channel: Channel, compared: Sequence[SubdirRebound], failures: Collection[Failure]
) -> str:
    told = [channel.bucket, channel.name, *compared, *failures]
    return sha256(msgspec.json.encode(told)).hexdigest()[:_DIGEST_CHARS]


def _read_binding(channel: Channel) -> Version[Binding | None]:
    """The binding; one that is damaged is replaced, under its ETag."""
    try:
        return binding_object(channel.state, channel.name).read()
    except TooNew:
        raise
    except Corrupt:
        info = channel.state.head(channel_binding(channel.name))
        return Version(None, info.etag if info else None)


def _write_binding(
    channel: Channel, before: Version[Binding | None], *, moving: bool
) -> Version[Binding | None]:
    known = before.value
    binding = Binding(
        bucket=(known.bucket if known else None) if moving else channel.bucket,
        moving_to=channel.bucket if moving else UNSET,
        endpoint=channel.endpoint,
        created_at=channel.clock(),
        writer=channel.unique(),
    )
    written = binding_object(channel.state, channel.name).swap(binding, expected=before.etag)
    if written is LOST:
        raise Unavailable(f"another rebind of the channel {channel.name!r} is under way; try again")
    return written


def _publish(channel: Channel, subdirs: Sequence[Subdir], max_age_seconds: int) -> None:
    """Publish over what is there: the state may have another name than the one that did."""
    publisher = Publisher(
        channel.public, channel.state, channel.owner or "", max_age_seconds, adopt=True
    )

    def publish(subdir: Subdir, version: Version[Head]) -> None:
        # After the head was read, as everywhere: it may belong to another bucket again.
        channel.bucket_check.check_binding(channel.name)
        catalog = CatalogReader(channel.state, subdir, channel.gather)
        publisher.publish(subdir, version.value, catalog, tidy=True, gather=channel.gather)

    for subdir in subdirs:
        read_newest(head_object(channel.state, subdir), partial(publish, subdir))
    _publish_channel_files(channel, max_age_seconds)
    for subdir in subdirs:
        send_for_merge(channel, subdir)
    if channel.merges is None:
        merge_here(channel, subdirs)


def _publish_channel_files(channel: Channel, max_age_seconds: int) -> None:
    """Publish the files of the whole channel over those that are there.

    Their generations say nothing here: a state that was restored has begun to count anew.
    """
    stamped: list[str] = []
    for file in (*_CHANNEL_FILES, PAGE):
        info = channel.public.head(channel_file(channel.name, file))
        stamp = Stamp.parse(info.metadata) if info else None
        if stamp and (file != PAGE or stamp.owner != channel.owner):
            stamped.append(channel_file(channel.name, file))
    page = channel_file(channel.name, PAGE)
    if page in stamped:  # it gives way to what seems to be somebody's own page
        channel.public.delete([page])
    publish_channel_again(channel, stamped, max_age_seconds)
