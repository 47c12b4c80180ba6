"""Requests to merge a channel: told from others, and debounced."""

from __future__ import annotations

import pytest

from sluice.errors import TooNew, UnknownEvent
from sluice.messages import channel_merge_request, merge_request
from sluice.messages.channel_merge_request import ChannelMergeRequest
from tests.support.staging_records import START_MS, SUBDIR


@pytest.mark.parametrize("channel", ["", "team", "Conda/Default", "ünï" * 60])
def test_a_request_says_which_channel_and_from_when(channel: str) -> None:
    message = channel_merge_request.channel_merge_message(
        channel, now_ms=START_MS, debounce_seconds=10
    )
    assert channel_merge_request.parse_channel_merge_request(message.body) == ChannelMergeRequest(
        channel, START_MS + 8000 + 2000
    )
    assert message.body.isascii()
    assert len(message.deduplication_id) <= 128


def test_one_request_per_window_gets_through() -> None:
    ids = [
        channel_merge_request.channel_merge_message(
            "team", now_ms=now, debounce_seconds=10
        ).deduplication_id
        for now in (START_MS, START_MS + 7999, START_MS + 8000)
    ]
    assert ids[0] == ids[1] != ids[2]


def test_a_channel_has_a_group_of_its_own() -> None:
    mine = channel_merge_request.channel_merge_message(
        SUBDIR.channel, now_ms=START_MS, debounce_seconds=10
    )
    subdir = merge_request.merge_message(SUBDIR, now_ms=START_MS, debounce_seconds=10)
    assert mine.group != subdir.group


def test_a_request_about_a_subdir_is_none_of_a_channel() -> None:
    message = merge_request.merge_message(SUBDIR, now_ms=START_MS, debounce_seconds=10)
    assert channel_merge_request.parse_channel_merge_request(message.body) is None


@pytest.mark.parametrize("body", ["", "[]", "not json", '{"channelwide":1,"not_before":0}'])
def test_what_is_no_request_is_refused(body: str) -> None:
    with pytest.raises(UnknownEvent):
        channel_merge_request.parse_channel_merge_request(body)


def test_a_request_of_a_newer_sluice_is_refused() -> None:
    with pytest.raises(TooNew):
        channel_merge_request.parse_channel_merge_request(
            '{"channelwide":"team","not_before":0,"format":2}'
        )
