"""Requests to merge a whole channel, sent through MergeQueue and debounced like others."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from sluice.conda.timestamps import EpochMs
from sluice.errors import DECODE_ERRORS, TooNew, UnknownEvent
from sluice.layout import channel_component
from sluice.messages.merge_request import QueueMessage, debounce_window, message_group
from sluice.storage.queue import encode_message

FORMAT = 1


@dataclass(frozen=True, slots=True)
class ChannelMergeRequest:
    """A request in MergeQueue to merge a whole channel."""

    channel: str
    not_before: EpochMs
    """When the request is due: two seconds after the end of its window."""


class _Body(msgspec.Struct, kw_only=True):
    channelwide: str
    """The channel."""
    not_before: EpochMs
    format: int = FORMAT


def channel_merge_message(channel: str, *, now_ms: EpochMs, debounce_seconds: int) -> QueueMessage:
    """Request a merge of the channel after the window that contains ``now_ms``."""
    window, not_before = debounce_window(now_ms, debounce_seconds)
    # No subdir can have this name: subdir names have a dash, or are "noarch".
    group = message_group(f"{channel_component(channel)}/channelwide")
    body = encode_message(_Body(channelwide=channel, not_before=not_before))
    return QueueMessage(body=body, group=group, deduplication_id=f"{group}|{window}")


def parse_channel_merge_request(body: str) -> ChannelMergeRequest | None:
    """Parse a message's body; ``None`` if it is not about a whole channel.

    Raises ``UnknownEvent`` if it is malformed, and ``TooNew``.
    """
    try:
        if "channelwide" not in msgspec.json.decode(body, type=dict[str, msgspec.Raw]):
            return None
        request = msgspec.json.decode(body, type=_Body)
    except DECODE_ERRORS as error:
        raise UnknownEvent(f"not a merge request: {error}") from error
    if request.format > FORMAT:
        raise TooNew(
            f"the merge request has format {request.format}, but this version of sluice reads "
            f"formats up to {FORMAT}"
        )
    return ChannelMergeRequest(request.channelwide, request.not_before)
