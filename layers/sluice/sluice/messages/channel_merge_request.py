"""Asking for a merge of a whole channel, in MergeQueue, debounced as the merges of subdirs are."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from sluice.errors import DECODE_ERRORS, TooNew, UnknownEvent
from sluice.layout import channel_component
from sluice.messages.merge_request import QueueMessage, debounce_window, message_group
from sluice.storage.queue import encode_message

FORMAT = 1


@dataclass(frozen=True, slots=True)
class ChannelMergeRequest:
    """What a message asks for."""

    channel: str
    not_before: int
    """End of the request's window and one second, ms since the epoch."""


class _Body(msgspec.Struct, kw_only=True):
    channelwide: str
    """The channel."""
    not_before: int
    format: int = FORMAT


def channel_merge_message(channel: str, *, now_ms: int, debounce_seconds: int) -> QueueMessage:
    """Ask for a merge of the channel when the window that ``now_ms`` lies in has closed."""
    window, not_before = debounce_window(now_ms, debounce_seconds)
    # No subdir can be called so: their names have a dash, or are "noarch".
    group = message_group(f"{channel_component(channel)}/channelwide")
    body = encode_message(_Body(channelwide=channel, not_before=not_before))
    return QueueMessage(body=body, group=group, deduplication_id=f"{group}|{window}")


def parse_channel_merge_request(body: str) -> ChannelMergeRequest | None:
    """Read a message's body; ``None`` where it is about no whole channel.

    Raises ``UnknownEvent`` where it is malformed, and ``TooNew``.
    """
    try:
        if "channelwide" not in msgspec.json.decode(body, type=dict[str, msgspec.Raw]):
            return None
        request = msgspec.json.decode(body, type=_Body)
    except DECODE_ERRORS as error:
        raise UnknownEvent(f"not a merge request: {error}") from error
    if request.format > FORMAT:
        raise TooNew(f"merge request of format {request.format}, this sluice knows {FORMAT}")
    return ChannelMergeRequest(request.channelwide, request.not_before)
