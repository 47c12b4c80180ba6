"""Merge requests, which turn a burst of uploads into a few merges with only a FIFO queue.

A request's deduplication id is its group and the window (of ``DebounceSeconds`` - 2 s) in which it
is sent, so one request per subdir and window gets through.  It says when it is due: two seconds
after the end of its window, because clocks may disagree by that much.  Merge may receive it at
once, and then hands it back until it is due (``merge.edges``).  LIST is strongly consistent: the
merge that is due sees every record staged in the window, *provided that the window is read off the
clock after the staging PUT returned*.  SQS remembers an id for five minutes even after its message
was consumed, which is why the window is part of the id.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import msgspec

from sluice.conda.names import is_subdir
from sluice.conda.timestamps import EpochMs
from sluice.errors import DECODE_ERRORS, TooNew, UnknownEvent
from sluice.layout import Subdir
from sluice.storage.queue import FifoQueue, encode_message

FORMAT = 1
CLOCK_SKEW_SECONDS = 2
DEBOUNCE_SECONDS_MIN = CLOCK_SKEW_SECONDS + 1
_GROUP_CHARS_MAX = 100
"""Characters in a message group.  SQS allows 128 in a group and in a deduplication id, and the id
is the group and a suffix."""
_UNIQUE_CHARS = 24


@dataclass(frozen=True, slots=True)
class MergeRequest:
    """A request in MergeQueue to merge a subdir."""

    subdir: Subdir
    not_before: EpochMs
    """When the request is due: two seconds after the end of its window."""
    create: bool = False
    """Commit and publish an empty index if there is none (CEP 26: noarch must exist)."""
    adopt: bool = False
    """Take over an index that another stack publishes."""
    check_files: bool = False
    """Check all published files, also if nothing is staged."""

    @property
    def is_create_or_adopt(self) -> bool:
        """Whether the request is for more than a merge and its publication."""
        return self.create or self.adopt

    @property
    def is_about_staging(self) -> bool:
        """Whether the request is fulfilled as soon as nothing is staged.

        Staging records are deleted only after all that follows from them is published.
        """
        return not (self.create or self.adopt or self.check_files)

    @property
    def requested_before_ms(self) -> EpochMs:
        """A time before which the request was made, by any clock.

        A request is made before it is due; two clocks may disagree about that.
        """
        return self.not_before + CLOCK_SKEW_SECONDS * 1000


@dataclass(frozen=True, slots=True)
class QueueMessage:
    """A request in the form of SQS."""

    body: str
    group: str
    deduplication_id: str

    def send_to(self, queue: FifoQueue) -> None:
        """Put the request into MergeQueue; raises ``Unavailable``."""
        queue.send(self.body, group=self.group, deduplication_id=self.deduplication_id)


class _Body(msgspec.Struct, kw_only=True):
    channel: str
    subdir: str
    not_before: EpochMs
    create: bool = False
    adopt: bool = False
    check_files: bool = False
    format: int = FORMAT


def merge_message(
    subdir: Subdir,
    *,
    now_ms: EpochMs,
    debounce_seconds: int,
    create: bool = False,
    adopt: bool = False,
    check_files: bool = False,
) -> QueueMessage:
    """Request a merge for what was staged in the window that contains ``now_ms``.

    A request to create, to adopt or to check files has its own deduplication ids, so that a plain
    merge request cannot suppress it.
    """
    window, not_before = debounce_window(now_ms, debounce_seconds)
    request = MergeRequest(
        subdir, not_before=not_before, create=create, adopt=adopt, check_files=check_files
    )
    purposes = f"{'create|' * create}{'adopt|' * adopt}{'files|' * check_files}"
    return _message(request, suffix=f"{purposes}{window}")


def debounce_window(now_ms: EpochMs, debounce_seconds: int) -> tuple[int, EpochMs]:
    """The number of the window that contains ``now_ms``, and the time its requests are due."""
    window_ms = (debounce_seconds - CLOCK_SKEW_SECONDS) * 1000
    window = now_ms // window_ms
    return window, (window + 1) * window_ms + CLOCK_SKEW_SECONDS * 1000


def message_group(component: str) -> str:
    """A message group, as short as SQS requires; ``component`` is ASCII."""
    if len(component) <= _GROUP_CHARS_MAX:
        return component
    return "sha256:" + sha256(component.encode()).hexdigest()


def unique_merge_message(
    subdir: Subdir, *, now_ms: EpochMs, unique_id: str, create: bool = False, adopt: bool = False
) -> QueueMessage:
    """Request a merge and a check of all files at once; never deduplicated.

    For the rest of a merge's work, and for heads that people have swapped.
    """
    # Hashed, because only the whole id is unique: any part of it may recur.
    suffix = sha256(unique_id.encode()).hexdigest()[:_UNIQUE_CHARS]
    request = MergeRequest(subdir, not_before=now_ms, create=create, adopt=adopt, check_files=True)
    return _message(request, suffix=suffix)


def parse_merge_request(body: str) -> MergeRequest:
    """Parse a message's body; raises ``UnknownEvent`` if it is no merge request, and ``TooNew``."""
    try:
        request = msgspec.json.decode(body, type=_Body)
    except DECODE_ERRORS as error:
        raise UnknownEvent(f"not a merge request: {error}") from error
    if request.format > FORMAT:
        raise TooNew(
            f"the merge request has format {request.format}, but this version of sluice reads "
            f"formats up to {FORMAT}"
        )
    if not is_subdir(request.subdir):
        raise UnknownEvent(f"not a merge request: {request.subdir!r} is not a subdir")
    return MergeRequest(
        Subdir(request.channel, request.subdir),
        request.not_before,
        create=request.create,
        adopt=request.adopt,
        check_files=request.check_files,
    )


def _message(request: MergeRequest, *, suffix: str) -> QueueMessage:
    group = message_group(request.subdir.component)  # percent-encoded, so ASCII, as SQS requires
    body = _Body(
        channel=request.subdir.channel,
        subdir=request.subdir.name,
        not_before=request.not_before,
        create=request.create,
        adopt=request.adopt,
        check_files=request.check_files,
    )
    return QueueMessage(
        body=encode_message(body),
        group=group,
        deduplication_id=f"{group}|{suffix}",
    )
