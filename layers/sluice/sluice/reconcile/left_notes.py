"""Requests merges of channels whose notes nobody has merged.

The request of a note can get lost: its message ends in a dead-letter queue, for example.  Until
the next note, nothing else would publish what it says.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

from sluice.extract.staging import is_being_merged
from sluice.layout import key_after_prefix, parse_state_key, state_prefix
from sluice.limits import KEYS_PER_PAGE
from sluice.messages.channel_merge_request import channel_merge_message
from sluice.runtime import Runtime


def channels_with_left_notes(
    runtime: Runtime, channel: str | None, *, leaves_young: bool
) -> Iterator[str]:
    """The channels that have notes: one LIST, and another for each such channel.

    ``channel``: only this one; ``None``: all.  ``leaves_young``: leave out those whose notes are
    all so new that their merge may still come.  Raises ``Unavailable``.
    """
    after: str | None = None
    while True:
        listed = runtime.state.list(state_prefix("notes", channel), after=after)
        first = next((info for info in listed if parse_state_key(info.key)), None)
        subdir = parse_state_key(first.key) if first else None
        if first is None or subdir is None:
            return
        prefix = state_prefix("notes", subdir.channel)
        notes = (info for info in chain([first], listed) if info.key.startswith(prefix))
        page = list(islice(notes, KEYS_PER_PAGE))
        if not (leaves_young and is_being_merged(page, now_ms=runtime.clock())):
            yield subdir.channel
        after = key_after_prefix(prefix)


def request_channel_merge(runtime: Runtime, channel: str) -> None:
    """Request a merge of a channel; raises ``Unavailable``."""
    channel_merge_message(
        channel, now_ms=runtime.clock(), debounce_seconds=runtime.debounce_seconds
    ).send_to(runtime.merge_queue)
