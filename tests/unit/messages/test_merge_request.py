"""The debounce: which window, which id, which body."""

from __future__ import annotations

import pytest

from sluice.errors import TooNew, UnknownEvent
from sluice.layout import Subdir
from sluice.messages import merge_request
from sluice.messages.merge_request import MergeRequest, QueueMessage
from testkit.memory_queue import MemoryQueue, Message

SUBDIR = Subdir("Conda/Default", "linux-64")
LONG = Subdir("c/" * 190 + "c", "linux-64")
SQS_ID_CHARS_MAX = 128


def test_a_request_is_due_two_seconds_after_the_end_of_its_window_of_eight_seconds() -> None:
    assert merge_request.merge_message(
        SUBDIR, now_ms=1_000_007_999, debounce_seconds=10
    ) == QueueMessage(
        body='{"channel":"Conda/Default","subdir":"linux-64","not_before":1000010000,'
        '"create":false,"adopt":false,"check_files":false,"format":1}',
        group="Conda%2FDefault/linux-64",
        deduplication_id="Conda%2FDefault/linux-64|125000",
    )


@pytest.mark.parametrize(
    ("debounce_seconds", "now_ms", "window", "not_before"),
    [(3, 1999, 1, 4000), (3, 2000, 2, 5000), (300, 0, 0, 300_000), (300, 298_000, 1, 598_000)],
)
def test_a_window_is_two_seconds_shorter_than_the_debounce(
    debounce_seconds: int, now_ms: int, window: int, not_before: int
) -> None:
    message = merge_request.merge_message(SUBDIR, now_ms=now_ms, debounce_seconds=debounce_seconds)
    assert message.deduplication_id.endswith(f"|{window}")
    assert merge_request.parse_merge_request(message.body) == MergeRequest(SUBDIR, not_before)


def test_one_request_per_subdir_and_window_gets_through() -> None:
    queue = MemoryQueue()
    noarch = Subdir(SUBDIR.channel, "noarch")
    for subdir, now_ms in [(SUBDIR, 0), (SUBDIR, 7999), (noarch, 7999), (SUBDIR, 8000)]:
        merge_request.merge_message(subdir, now_ms=now_ms, debounce_seconds=10).send_to(queue)
    assert [message.deduplication_id for message in queue.messages] == [
        "Conda%2FDefault/linux-64|0",
        "Conda%2FDefault/noarch|0",
        "Conda%2FDefault/linux-64|1",
    ]


def test_a_request_to_create_is_not_swallowed_by_one_that_only_merges() -> None:
    queue = MemoryQueue()
    for create in (False, True, True):
        merge_request.merge_message(SUBDIR, now_ms=0, debounce_seconds=10, create=create).send_to(
            queue
        )
    assert [
        merge_request.parse_merge_request(message.body).create for message in queue.messages
    ] == [False, True]
    assert queue.messages[1].group == queue.messages[0].group


def test_a_request_about_files_is_not_swallowed_by_one_about_staging() -> None:
    queue = MemoryQueue()
    for check_files in (False, True, True):
        merge_request.merge_message(
            SUBDIR, now_ms=0, debounce_seconds=10, check_files=check_files
        ).send_to(queue)
    requests = [merge_request.parse_merge_request(message.body) for message in queue.messages]
    assert [request.check_files for request in requests] == [False, True]
    assert queue.messages[1].group == queue.messages[0].group


@pytest.mark.parametrize(
    ("purposes", "is_about_staging"),
    [
        ({}, True),
        ({"create": True}, False),
        ({"adopt": True}, False),
        ({"check_files": True}, False),
    ],
)
def test_only_a_request_without_another_purpose_is_about_staging(
    purposes: dict[str, bool], *, is_about_staging: bool
) -> None:
    assert MergeRequest(SUBDIR, 0, **purposes).is_about_staging == is_about_staging


def test_a_request_to_adopt_is_one_of_its_own_as_well() -> None:
    queue = MemoryQueue()
    for create, adopt in ((False, False), (False, True), (True, True), (False, True)):
        merge_request.merge_message(
            SUBDIR, now_ms=0, debounce_seconds=10, create=create, adopt=adopt
        ).send_to(queue)
    assert [merge_request.parse_merge_request(message.body) for message in queue.messages] == [
        MergeRequest(SUBDIR, 10_000, create=create, adopt=adopt)
        for create, adopt in ((False, False), (False, True), (True, True))
    ]


def test_a_request_of_an_older_sluice_adopts_nothing() -> None:
    body = '{"channel":"c","subdir":"noarch","not_before":1,"create":true,"format":1}'
    assert merge_request.parse_merge_request(body) == MergeRequest(
        Subdir("c", "noarch"), 1, create=True, adopt=False
    )


def test_a_request_for_a_further_merge_has_its_own_id_is_due_at_once_and_checks_files() -> None:
    uniques = [f"the same for a long time {n}" for n in range(2)]
    messages = [
        merge_request.unique_merge_message(SUBDIR, now_ms=5, unique_id=unique) for unique in uniques
    ]
    assert len({message.deduplication_id for message in messages}) == 2
    assert merge_request.parse_merge_request(messages[0].body) == MergeRequest(
        SUBDIR, not_before=5, check_files=True
    )


def test_a_group_too_long_for_sqs_is_hashed_and_the_body_still_names_the_subdir() -> None:
    messages = [
        merge_request.merge_message(LONG, now_ms=10**13, debounce_seconds=3, create=True),
        merge_request.unique_merge_message(LONG, now_ms=10**13, unique_id="f" * 32),
    ]
    for message in messages:
        assert message.group.startswith("sha256:")
        assert len(message.deduplication_id) <= SQS_ID_CHARS_MAX
        assert merge_request.parse_merge_request(message.body).subdir == LONG


def test_the_longest_group_that_is_not_hashed_leaves_room_for_every_suffix() -> None:
    subdir = Subdir("c" * 91, "linux-64")
    message = merge_request.unique_merge_message(subdir, now_ms=0, unique_id="f" * 32)
    assert message.group == subdir.component
    assert len(message.deduplication_id) <= SQS_ID_CHARS_MAX
    longer = merge_request.unique_merge_message(
        Subdir("c" * 92, "linux-64"), now_ms=0, unique_id="f" * 32
    )
    assert longer.group.startswith("sha256:")


def test_a_channel_may_hold_what_sqs_refuses_in_messages() -> None:
    queue = MemoryQueue()
    odd = Subdir("\uffff", "noarch")
    merge_request.merge_message(odd, now_ms=0, debounce_seconds=10).send_to(queue)
    assert merge_request.parse_merge_request(queue.messages[0].body).subdir == odd


def test_a_message_is_sent_as_it_is() -> None:
    queue = MemoryQueue()
    QueueMessage("body", "group", "id").send_to(queue)
    assert queue.messages == [Message("body", "group", "id")]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        '"%/noarch"',
        '{"channel":"c","subdir":"linux-64"}',
        '{"channel":"c","subdir":"linux-64","not_before":"soon"}',
        '{"channel":"c","subdir":"../x","not_before":1}',
        '{"channel":null,"subdir":"linux-64","not_before":1}',
        '{"Records":[]}',
    ],
)
def test_what_is_not_a_merge_request_is_an_unknown_event(body: str) -> None:
    with pytest.raises(UnknownEvent, match="not a merge request"):
        merge_request.parse_merge_request(body)


def test_a_request_without_the_optional_fields_is_of_the_first_format() -> None:
    body = '{"channel":"","subdir":"noarch","not_before":1}'
    assert merge_request.parse_merge_request(body) == MergeRequest(Subdir("", "noarch"), 1)


def test_a_request_of_a_newer_sluice_is_refused() -> None:
    body = '{"channel":"c","subdir":"linux-64","not_before":1,"format":2}'
    with pytest.raises(TooNew, match="merge request has format 2"):
        merge_request.parse_merge_request(body)
