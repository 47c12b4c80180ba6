"""The extract function: every way an event can come, and what goes back to the queue."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import pytest

from sluice.layout import Subdir
from sluice.limits import FIRST_READ_INDEX_BYTES_MAX
from sluice.messages.s3_event import ObjectEvent, upload_message
from testkit.memory_queue import MemoryFeed, MemoryQueue
from tests.handlers.functions import (
    BACK,
    BUCKET,
    DONE,
    EVENTS,
    KEY,
    PACKAGE,
    RECEIVES_MAX,
    SLOW_UPLOAD_QUEUE_URL,
    STATE,
    SUBDIR,
    Stack,
    batch,
    load,
    notification,
    sqs_record,
    upload,
)
from tests.handlers.request_faults import SLOW_DOWN, failing
from tests.support.package_archives import INDEX as DEMO
from tests.support.package_archives import TAR_BZ2, Entry, index_entry, tar_bz2

# Said by powertools on standard error after an invocation that has nothing to count.
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")


EVENTBRIDGE = {
    "source": "aws.s3",
    "detail-type": "Object Created",
    "detail": {"bucket": {"name": BUCKET}, "object": {"key": KEY, "size": 1}},
}


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        (batch(sqs_record(notification(KEY))), DONE),
        (batch(sqs_record(EVENTBRIDGE)), DONE),
        (notification(KEY), None),
        (EVENTBRIDGE, None),
    ],
    ids=["sqs", "sqs-eventbridge", "s3", "eventbridge"],
)
def test_an_upload_is_staged_whatever_way_its_event_came(
    stack: Stack, extract: ModuleType, event: dict[str, Any], answer: object
) -> None:
    upload(stack)
    assert stack.invoke(extract, event) == answer
    (staged,) = stack.staged()
    assert (staged["verdict"], staged["filename"]) == ("indexed", PACKAGE.filename)
    (message,) = stack.receive()
    body = json.loads(message["body"])
    assert (body["channel"], body["subdir"]) == ("demo", "noarch")
    assert stack.metrics == {"StagedRecords": [1]}


def test_a_look_at_a_package_is_taken_when_reconcile_asks_for_it(
    stack: Stack, extract: ModuleType
) -> None:
    key = f"{SUBDIR}/odd-1!2+é3-0.conda"  # as it is, and not as S3's notifications encode it
    upload(stack, key)
    body = upload_message(ObjectEvent(BUCKET, key, len(PACKAGE.body)))
    assert stack.invoke(extract, batch(sqs_record(body))) == DONE
    assert [one["filename"] for one in stack.staged()] == ["odd-1!2+é3-0.conda"]


@pytest.mark.parametrize(
    ("prefixes", "staged"), [("other/,demo/", 1), ("demo/noarch", 1), ("dem", 1), ("other/", 0)]
)
def test_only_channels_below_the_prefixes_are_looked_at(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, prefixes: str, staged: int
) -> None:
    monkeypatch.setenv("CHANNEL_PREFIXES", prefixes)
    upload(stack)
    assert stack.invoke(load("extract"), batch(sqs_record(notification(KEY)))) == DONE
    assert len(stack.staged()) == staged


CONFIG = "demo/sluice.toml"
CONFIG_OVER_EVENTBRIDGE = {
    "source": "aws.s3",
    "detail-type": "Object Deleted",
    "detail": {"bucket": {"name": BUCKET}, "object": {"key": CONFIG}},
}


def have_heads(stack: Stack, *subdirs: Subdir) -> None:
    """Put something where the heads of subdirs lie; nobody reads it."""
    for subdir in subdirs:
        stack.s3.put_object(Bucket=STATE, Key=subdir.head_key, Body=b"{}")


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        (batch(sqs_record(notification(CONFIG))), DONE),
        (batch(sqs_record(notification(CONFIG, name="ObjectRemoved:Delete"))), DONE),
        (batch(sqs_record(CONFIG_OVER_EVENTBRIDGE)), DONE),
        (notification(CONFIG), None),
    ],
    ids=["written", "removed", "eventbridge", "s3"],
)
def test_a_configuration_that_comes_or_goes_is_told_to_every_subdir_of_its_channel_alone(
    stack: Stack, extract: ModuleType, event: dict[str, Any], answer: object
) -> None:
    have_heads(
        stack, Subdir("demo", "linux-64"), Subdir("demo/more", "linux-64"), Subdir("", "x-1")
    )
    upload(stack, "demo/osx-64/new-1-0.conda")
    stack.invoke(extract, batch(sqs_record(notification("demo/osx-64/new-1-0.conda"))))
    stack.logs.clear()
    assert stack.invoke(extract, event) == answer
    told = ["linux-64", "noarch", "osx-64"]
    keys = [key for key in stack.keys(STATE, "staging/") if "/sluice.toml/" in key]
    assert [key.split("/")[1:3] for key in keys] == [["demo", name] for name in told]
    assert {one["verdict"] for one in map(partial(stack.read, STATE), keys)} == {"reconsidered"}
    asked = [json.loads(message["body"]) for message in stack.receive()]
    assert sorted({(one["channel"], one["subdir"]) for one in asked}) == [
        ("demo", name) for name in told
    ]
    (line,) = stack.logs
    assert {key: line[key] for key in ("message", "channel", "subdirs")} == {
        "message": "configured",
        "channel": "demo",
        "subdirs": told,
    }
    assert stack.metrics == {"StagedRecords": [1]}  # that of the package


@pytest.mark.parametrize(
    "event",
    [
        notification(CONFIG),
        notification(CONFIG, bucket="somebody-elses"),
        notification("demo/my-sluice.toml", "demo/linux-64/sluice.toml", "other/sluice.toml"),
    ],
    ids=["no-channel-yet", "other-bucket", "other-places"],
)
def test_a_configuration_of_no_channel_of_ours_has_nothing_done(
    stack: Stack, extract: ModuleType, event: dict[str, Any]
) -> None:
    if event != notification(CONFIG):
        have_heads(stack, Subdir("demo", "linux-64"))
    assert stack.invoke(extract, batch(sqs_record(event))) == DONE
    assert (stack.staged(), stack.receive()) == ([], [])


def test_a_configuration_that_could_not_be_told_to_all_goes_back(
    stack: Stack, extract: ModuleType
) -> None:
    stack.s3.delete_bucket(Bucket=STATE)
    assert stack.invoke(extract, batch(sqs_record(notification(CONFIG)))) == BACK
    assert stack.logs[-1]["exception_name"] == "Unavailable"


@pytest.mark.parametrize(
    "event",
    [
        notification(KEY, bucket="another"),
        notification("demo/notes.txt", "demo/noarch/repodata.json"),
    ],
    ids=["another-bucket", "no-packages"],
)
def test_what_is_no_package_of_ours_is_passed_over_without_a_word(
    stack: Stack, extract: ModuleType, event: dict[str, Any]
) -> None:
    upload(stack)
    assert stack.invoke(extract, batch(sqs_record(event))) == DONE
    assert (stack.staged(), stack.logs, stack.metrics) == ([], [], {})


def test_the_size_that_an_event_tells_saves_a_request(stack: Stack, extract: ModuleType) -> None:
    upload(stack)
    looks: list[str] = []
    client = extract.ctx().extractor.channel._bucket.client
    send = client.send

    def look(request: Any) -> Any:
        looks.append(request.context["operation"])
        return send(request)

    client.send = look
    stack.invoke(extract, batch(sqs_record(notification(KEY))))
    assert looks == ["GetObject", "PutObject"]


def test_a_staged_package_is_told_in_one_line_with_its_keys(
    stack: Stack, extract: ModuleType
) -> None:
    upload(stack)
    stack.invoke(extract, batch(sqs_record(notification(KEY))))
    (line,) = stack.logs
    told = {key: line[key] for key in ("message", "channel", "subdir", "filename", "verdict")}
    assert told == {
        "message": "staged",
        "channel": "demo",
        "subdir": "noarch",
        "filename": PACKAGE.filename,
        "verdict": "indexed",
    }


@pytest.mark.parametrize("directive", ["%(name)s", "%c", "%9s", "100%"])
def test_a_key_is_logged_as_it_is_even_if_it_looks_like_a_format(
    stack: Stack, extract: ModuleType, directive: str
) -> None:
    key = f"demo/noarch/demo-1.0-{directive}.conda"
    upload(stack, key)
    assert stack.invoke(extract, batch(sqs_record(notification(quote(key))))) == DONE
    (line,) = stack.logs
    assert (line["key"], line["level"]) == (key, "WARNING")
    assert line["reason"] == "its key contains a %, which CEP 26 forbids"
    assert (stack.staged(), stack.metrics) == ([], {"MisplacedUploads": [1.0]})


@pytest.mark.parametrize(
    ("key", "prefixes", "warned"),
    [
        ("demo/linux64/a-1-0.conda", "", 1),
        ("demo/a-1-0.conda", "demo/", 1),
        ("other/a-1-0.conda", "demo/", 0),
        ("other/linux64/a-1-0.conda", "demo/,oth", 1),
    ],
)
def test_a_misplaced_upload_is_counted_and_logged_within_the_prefixes(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, key: str, prefixes: str, warned: int
) -> None:
    monkeypatch.setenv("CHANNEL_PREFIXES", prefixes)
    upload(stack, key)
    event = batch(
        sqs_record(notification(key)),
        sqs_record(notification(key, bucket="somebody-elses"), message_id="n"),
    )
    assert stack.invoke(load("extract"), event) == DONE
    assert [line["key"] for line in stack.logs] == [key] * warned
    assert stack.metrics == ({"MisplacedUploads": [1.0]} if warned else {})


def test_a_corrupt_package_is_a_reject_not_a_retry(stack: Stack, extract: ModuleType) -> None:
    upload(stack, body=b"corrupt")
    assert stack.invoke(extract, batch(sqs_record(notification(KEY)))) == DONE
    (staged,) = stack.staged()
    assert (staged["verdict"], staged["code"]) == ("rejected", "zip-invalid")
    assert (stack.logs[0]["verdict"], stack.logs[0]["code"]) == ("rejected", "zip-invalid")


def test_a_removal_is_staged_for_an_object_that_is_not_there(
    stack: Stack, extract: ModuleType
) -> None:
    event = notification(KEY, name="ObjectRemoved:Delete")
    assert stack.invoke(extract, batch(sqs_record(event))) == DONE
    assert [staged["verdict"] for staged in stack.staged()] == ["removed"]


@pytest.mark.parametrize(
    "event",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET},
        notification("demo/readme.txt"),
        notification("demo/noarch/repodata.json"),
        notification(KEY, bucket="somebody-elses"),
    ],
    ids=["test-event", "no-subdir", "index", "other-bucket"],
)
def test_what_is_no_package_of_this_channel_is_done_with(
    stack: Stack, extract: ModuleType, event: dict[str, Any]
) -> None:
    upload(stack)
    assert stack.invoke(extract, batch(sqs_record(event))) == DONE
    assert stack.keys(STATE) == []
    assert stack.metrics == {}


def test_only_the_message_that_failed_goes_back(stack: Stack, extract: ModuleType) -> None:
    upload(stack)
    event = batch(
        sqs_record(notification(KEY), message_id="good"),
        sqs_record("not an event", message_id="bad"),
    )
    assert stack.invoke(extract, event) == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    assert len(stack.staged()) == 1
    assert stack.metrics == {"StagedRecords": [1], "ExtractFailures": [1]}
    errors = [line for line in stack.logs if line["level"] == "ERROR"]
    assert [(line["message"], line["exception_name"]) for line in errors] == [
        ("the upload will be tried again", "UnknownEvent")
    ]


def test_a_message_whose_state_bucket_does_not_answer_goes_back(
    stack: Stack, extract: ModuleType
) -> None:
    upload(stack)
    stack.s3.delete_bucket(Bucket=STATE)
    assert stack.invoke(extract, batch(sqs_record(notification(KEY)))) == BACK
    assert stack.logs[-1]["exception_name"] == "Unavailable"


def test_an_upload_that_fails_comes_back_soon_and_later_each_time(
    stack: Stack, extract: ModuleType, upload_queue: MemoryQueue
) -> None:
    stack.s3.delete_bucket(Bucket=STATE)
    for received in (1, 2, 3, 99):
        event = batch(sqs_record(notification(KEY), received=received))
        assert stack.invoke(extract, event) == BACK
    assert [seconds for _, seconds in upload_queue.visibility] == [15, 60, 240, 900]


def test_a_slow_package_is_read_in_the_slow_lane_and_comes_back_to_that(
    stack: Stack, extract: ModuleType, upload_queue: MemoryQueue, slow_queue: MemoryFeed
) -> None:
    key = f"demo/noarch/{TAR_BZ2}"
    before = Entry("lib/zeros", bytes(FIRST_READ_INDEX_BYTES_MAX))
    index = index_entry({**DEMO, "subdir": "noarch"})
    upload(stack, key, tar_bz2(before, index))
    assert stack.invoke(extract, batch(sqs_record(notification(key), queue="upload"))) == DONE
    assert (stack.staged(), stack.metrics, slow_queue.tenants) == ([], {}, ["demo"])
    (line,) = stack.logs
    assert (line["message"], line["filename"]) == ("to be read in the slow lane", TAR_BZ2)

    (body,) = slow_queue.bodies
    slow = SLOW_UPLOAD_QUEUE_URL.rpartition("/")[2]
    with failing(extract.ctx().extractor.channel._bucket.client, "s3.GetObject", SLOW_DOWN):
        assert stack.invoke(extract, batch(sqs_record(body, queue=slow))) == BACK
    assert ([seconds for _, seconds in slow_queue.visibility], upload_queue.visibility) == (
        [60],
        [],
    )
    assert stack.logs[-1]["wait_seconds"] == 60

    assert stack.invoke(extract, batch(sqs_record(body, queue=slow))) == DONE
    assert [staged["verdict"] for staged in stack.staged()] == ["indexed"]


def test_the_last_try_of_a_message_is_known_by_its_receive_count(
    stack: Stack, extract: ModuleType
) -> None:
    upload(stack)
    stack.invoke(extract, batch(sqs_record(notification(KEY), received=RECEIVES_MAX)))
    assert sorted(staged["verdict"] for staged in stack.staged()) == ["indexed", "rejected"]


@pytest.mark.parametrize(
    "sample", sorted(EVENTS.glob("extract-*.json")), ids=lambda path: path.stem
)
def test_every_sample_event_for_extract_is_understood(
    stack: Stack, extract: ModuleType, sample: Path
) -> None:
    upload(stack)
    assert stack.invoke(extract, json.loads(sample.read_text())) in (None, DONE)
    assert [line["level"] for line in stack.logs if line["level"] != "INFO"] == []
    packages = [one for one in stack.staged() if one["filename"] != "sluice.toml"]
    assert len(packages) == (sample.stem not in ("extract-sqs-config", "extract-sqs-test-event"))
