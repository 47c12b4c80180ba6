"""Retires a channel: deletes its index files and its catalog, so that nothing writes them again.

sluice keeps a channel without packages, because only a person knows whether its packages come back.
A person retires it:

1. The binding is marked.  Until the mark is gone, no other process may swap a head.
2. Each head is swapped to a *tombstone*: without a commit and a tree, but with its generation.
3. Index files, shards and the catalog are deleted, and then the mark.

**Why the heads stay.**  Merges that have read an older head lose their swap against a tombstone as
against any other head, and begin again from a subdir without packages.  And generations go on
counting.  A publisher that was held up may write an index file of the old catalog after all of them
were deleted.  It has an older generation than whatever a later upload leads to, so that replaces
it.  If generations began again at 1, the fence would always take that file for a newer one.

**Why the mark comes first.**  A merge reads the head, then the binding, and then swaps.  One that
has not seen the mark has read a head from before it, so its swap either comes before the tombstone,
which is then swapped against the new head, or loses.

A process that is killed leaves the mark.  Running it again completes the rest.  An upload that
comes meanwhile waits in its queue, and starts a new history afterwards.  One that comes before its
subdir has a tombstone, or before an interrupted retirement is run again, ends the retirement, and
the channel continues with it.  Subdirs that have a tombstone by then start a new history.

A process may sleep while another one completes its work, and an upload starts a new history.  So
the objects to delete are listed first, then the mark is checked, and then they are deleted: names
of leaves, trees, commits and shards never recur.  Only a new index file could be deleted, by a
process that sleeps between these two requests; the next reconcile writes it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal

import msgspec

from sluice.admin.session.channel import Channel
from sluice.admin.session.known_channels import has_live_subdir, unknown_channel_error
from sluice.catalog.binding import Binding, binding_object
from sluice.catalog.head import Head, head_object, read_head
from sluice.channel_files.state import EMPTY_STATE, ChannelState, state_object
from sluice.concurrency import chunks
from sluice.conda.names import NOARCH
from sluice.errors import Occupied, Unavailable
from sluice.layout import (
    CHANNELDATA,
    NOTICES,
    PAGE,
    PAGE_DATA,
    RSS,
    Subdir,
    channel_file_key,
    is_package_file,
    parse_state_key,
    state_prefix,
)
from sluice.limits import KEYS_PER_DELETE_MAX, RETIRE_EXAMPLES_MAX, WRITE_ATTEMPTS_MAX
from sluice.messages import merge_request
from sluice.publish.fence import Stamp
from sluice.publish.outputs import ALL_OUTPUTS
from sluice.storage.object_store import ObjectStore
from sluice.storage.versioned_object import LOST, ObjectVersion, Swap, commit_loop

_CHANNEL_FILES = (CHANNELDATA, RSS, NOTICES, PAGE, PAGE_DATA)


class RetiredSubdir(msgspec.Struct, frozen=True, kw_only=True):
    """What goes of one subdir."""

    subdir: str
    generation: int
    """The last generation; a later upload leads to the next one."""
    files: list[str]
    """Index files of ours."""
    shards: int
    catalog_objects: int


class Retirement(msgspec.Struct, frozen=True, kw_only=True):
    """What goes of a channel, or has gone."""

    bucket: str
    channel: str
    done: bool
    subdirs: list[RetiredSubdir]
    files: list[str]
    """Files of the whole channel."""


def plan_retirement(channel: Channel) -> Retirement:
    """What a retirement would delete.

    Raises ``UnknownChannel`` if nothing is left to retire, ``Occupied`` if there are packages,
    ``WrongState``, ``Corrupt`` and ``Unavailable``.
    """
    binding = binding_object(channel.state, channel.name).read().value
    is_bound = binding is not None  # also if a retirement was given up, and no commit came
    is_interrupted = binding is not None and binding.is_retiring
    if not is_interrupted:
        channel.bucket_check.check_binding(channel.name)
        _require_no_packages(channel)
    subdirs = [_survey(channel, subdir) for subdir in _subdirs(channel)]
    files = _our_files(channel, [channel_file_key(channel.name, file) for file in _CHANNEL_FILES])
    has_content = any(subdir.files or subdir.shards or subdir.catalog_objects for subdir in subdirs)
    if not (has_content or files or is_bound or has_live_subdir(channel)):
        raise unknown_channel_error(channel)
    return Retirement(
        bucket=channel.bucket, channel=channel.name, done=False, subdirs=subdirs, files=files
    )


def retire(channel: Channel) -> Retirement:
    """Delete the index files and the catalog of a channel that has no packages any more.

    May be killed at any point and run again.  Raises the errors of ``plan_retirement``.
    ``Occupied`` also if a package is uploaded meanwhile, and then the channel goes on with that;
    ``Unavailable`` also if another retirement of it has taken over.
    """
    plan = plan_retirement(channel)
    if not _is_marked(channel):
        channel.bucket_check.ensure_bound(channel.name)
    marked = _mark(channel)
    try:
        for subdir in _subdirs(channel):
            _bury_head(channel, subdir, marked)
    except Occupied:
        _delete_buried(channel, marked)
        _unmark(channel, marked, bucket=channel.bucket)
        _request_noarch(channel)
        raise
    _empty_channel_state(channel)
    _delete_buried(channel, marked)
    keys = [channel_file_key(channel.name, file) for file in _CHANNEL_FILES]
    _delete(channel, channel.public, _our_files(channel, keys), marked)
    _unmark(channel, marked, bucket=None)
    return msgspec.structs.replace(plan, done=True)


def _subdirs(channel: Channel) -> list[Subdir]:
    heads = channel.state.list(state_prefix("heads", channel.name))
    return sorted(filter(None, (parse_state_key(info.key) for info in heads)))


def _survey(channel: Channel, subdir: Subdir) -> RetiredSubdir:
    keys = [subdir.file_key(file) for file in ALL_OUTPUTS]
    return RetiredSubdir(
        subdir=subdir.name,
        generation=read_head(channel.state, subdir).value.generation,
        files=[key.removeprefix(subdir.prefix) for key in _our_files(channel, keys)],
        shards=sum(1 for _ in _shard_keys(channel, subdir)),
        catalog_objects=sum(1 for _ in _catalog_keys(channel, subdir)),
    )


def _our_files(channel: Channel, keys: list[str]) -> list[str]:
    """Those of some files that this state has published."""
    infos = channel.executor.map(channel.public.head, keys)
    stamps = {
        key: Stamp.parse(info.metadata) for key, info in zip(keys, infos, strict=True) if info
    }
    return [key for key, stamp in stamps.items() if stamp and stamp.owner == channel.owner]


def _shard_keys(channel: Channel, subdir: Subdir) -> Iterator[str]:
    for info in channel.public.list(subdir.shards.prefix):
        if subdir.shards.digest_of(info.key):
            yield info.key


def _catalog_keys(channel: Channel, subdir: Subdir) -> Iterator[str]:
    """All private objects of a subdir but its head, its staging and what nobody could read."""
    folders = (
        subdir.commits.prefix,
        subdir.trees.prefix,
        subdir.leaves.prefix,
        subdir.packs.prefix,
        subdir.patches.prefix,
        subdir.taken_over_indexes.prefix,
        subdir.notes_prefix,
    )
    single = {
        subdir.marks_key,
        subdir.brakes_key,
        subdir.digest_checks_key,
        subdir.rejects_key,
        subdir.take_over_key,
    }
    for folder in folders:
        for info in channel.state.list(folder):
            yield info.key
    for key in sorted(single):
        if channel.state.head(key):
            yield key


def _package_keys(channel: Channel, subdir: Subdir) -> Iterator[str]:
    for info in channel.public.list(subdir.prefix, delimiter="/"):
        if is_package_file(info.key.rpartition("/")[2]):
            yield info.key


def _require_no_packages(channel: Channel) -> None:
    for subdir in _subdirs(channel):
        _require_no_packages_in(channel, subdir)


def _require_no_packages_in(channel: Channel, subdir: Subdir) -> None:
    keys = list(islice(_package_keys(channel, subdir), RETIRE_EXAMPLES_MAX + 1))
    if keys:
        more = " and others" if len(keys) > RETIRE_EXAMPLES_MAX else ""
        raise Occupied(
            f"s3://{channel.bucket}/{subdir.prefix} has packages: "
            f"{', '.join(keys[:RETIRE_EXAMPLES_MAX])}{more}. Only a channel without packages can "
            "be retired. Delete or move the packages first"
        )


def _is_marked(channel: Channel) -> bool:
    binding = binding_object(channel.state, channel.name).read().value
    return binding is not None and binding.is_retiring


def _mark(channel: Channel) -> ObjectVersion[Binding | None]:
    """Mark the binding, so that nobody else swaps a head; or take over the mark that there is."""
    versioned = binding_object(channel.state, channel.name)
    for _ in range(WRITE_ATTEMPTS_MAX):
        before = versioned.read()
        if not (before.value and before.value.is_retiring):
            channel.bucket_check.check_binding(channel.name)
        marked = versioned.swap(
            Binding(
                bucket=channel.bucket,
                # An older sluice does not know retirements, and refuses a catalog that is moved.
                moving_to=channel.bucket,
                retiring=True,
                endpoint=channel.endpoint,
                created_at=channel.clock(),
                writer=channel.new_id(),
            ),
            expected=before.etag,
        )
        if marked is not LOST:
            return marked
    raise Unavailable(
        f"the binding changed during each of {WRITE_ATTEMPTS_MAX} attempts to write it. Try again"
    )


def _unmark(channel: Channel, marked: ObjectVersion[Binding | None], *, bucket: str | None) -> None:
    """Remove our mark: bind the channel to ``bucket`` again, or to none.

    Another retirement that has taken over the mark removes it.
    """
    binding = Binding(
        bucket=bucket,
        endpoint=channel.endpoint,
        created_at=channel.clock(),
        writer=channel.new_id(),
    )
    binding_object(channel.state, channel.name).swap(binding, expected=marked.etag)


def _bury_head(channel: Channel, subdir: Subdir, marked: ObjectVersion[Binding | None]) -> None:
    """Swap a head to a tombstone; raises ``Occupied`` if there are packages.

    Raises ``Unavailable`` if another retirement has taken over, which may have ended since.

    Also a tombstone, to another one.  A merge that starts a new history may have read that, and
    have bound the channel; without its binding it must not commit.
    """
    versioned = head_object(channel.state, subdir)

    def attempt(version: ObjectVersion[Head]) -> bool | Literal[Swap.LOST]:
        if version.etag is None:
            return True
        # After the head was read.  A package that was indexed before that is found here.  A later
        # commit either swaps the head first, so that the swap below fails, or fails itself.
        _require_no_packages_in(channel, subdir)
        _require_mark(channel, marked)
        tombstone = Head(
            generation=max(version.value.generation, 1),
            epoch=version.value.epoch + 1,
            commit=None,
            tree=None,
            writer=channel.new_id(),
        )
        return LOST if versioned.swap(tombstone, expected=version.etag) is LOST else True

    commit_loop(versioned, attempt)


def _empty_channel_state(channel: Channel) -> None:
    """Leave of the channel's state its generation alone, for the same reason as of heads."""
    versioned = state_object(channel.state, channel.name)

    def attempt(version: ObjectVersion[ChannelState]) -> bool | Literal[Swap.LOST]:
        state = version.value
        if version.etag is None or not state.subdirs:
            return True
        emptied = msgspec.structs.replace(
            EMPTY_STATE,
            generation=state.generation + 1,
            at=max(channel.clock(), state.at + 1),
            packages_changed=state.generation + 1,
            writer=channel.new_id(),
        )
        return LOST if versioned.swap(emptied, expected=version.etag) is LOST else True

    commit_loop(versioned, attempt)


def _delete_buried(channel: Channel, marked: ObjectVersion[Binding | None]) -> None:
    """Delete index files and catalog of each subdir whose head is a tombstone.

    Also if a package ends the retirement: nobody else updates or deletes these any more.
    """
    for subdir in _subdirs(channel):
        if read_head(channel.state, subdir).value.is_tombstone:
            _delete_public(channel, subdir, marked)
            _delete(channel, channel.state, _catalog_keys(channel, subdir), marked)


def _request_noarch(channel: Channel) -> None:
    """Request a ``noarch/repodata.json``, which a retirement that has ended may have deleted.

    Without a stack, the next ``sluice index`` finds that.
    """
    if channel.merges:
        merge_request.unique_merge_message(
            Subdir(channel.name, NOARCH), now_ms=0, unique_id=channel.new_id(), create=True
        ).send_to(channel.merges)


def _delete_public(channel: Channel, subdir: Subdir, marked: ObjectVersion[Binding | None]) -> None:
    """Delete the index files that this state has published, and then all shards.

    The shards of another tool stay as long as its index does.
    """
    keys = [subdir.file_key(file) for file in ALL_OUTPUTS]
    _delete(channel, channel.public, _our_files(channel, keys), marked)
    if not any(channel.executor.map(channel.public.head, keys)):
        _delete(channel, channel.public, _shard_keys(channel, subdir), marked)


def _delete(
    channel: Channel,
    store: ObjectStore,
    keys: Iterable[str],
    marked: ObjectVersion[Binding | None],
) -> None:
    """Delete what was listed while the channel was marked."""
    for chunk in chunks(list(keys), KEYS_PER_DELETE_MAX):
        _require_mark(channel, marked)
        store.delete(chunk)


def _require_mark(channel: Channel, marked: ObjectVersion[Binding | None]) -> None:
    """Raise ``Unavailable`` if the mark is no more the one that this retirement has set."""
    if binding_object(channel.state, channel.name).read().etag != marked.etag:
        raise Unavailable(
            f"another process is retiring s3://{channel.bucket}/{channel.name}. If it fails, run "
            "sluice retire again"
        )
