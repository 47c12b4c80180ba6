"""Both functions when S3 or SQS throttles, does not answer, or breaks off in the middle.

Whatever fails for good hands the message back soon; the next try comes to the same end as if
nothing had happened.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from urllib3.exceptions import ProtocolError

from sluice.errors import Unavailable
from sluice.layout import REPODATA, REPODATA_ZST, SHARD_INDEX
from sluice.limits import ATTEMPTS_MAX
from testkit.channel import conda
from testkit.memory_queue import MemoryQueue
from tests.handlers.functions import (
    BACK,
    BUCKET,
    DONE,
    INDEX,
    KEY,
    PACKAGE,
    STATE,
    SUBDIR,
    UPLOAD_QUEUE_URL,
    Stack,
    batch,
    load,
    notification,
    request,
    sqs_record,
    upload,
)
from tests.handlers.request_faults import CONNECT_TIMEOUT, READ_TIMEOUT, SLOW_DOWN, failing
from tests.support.scripted_aws import Answer, error

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")

FAILURES: list[Answer | Exception] = [SLOW_DOWN, CONNECT_TIMEOUT, READ_TIMEOUT]
BROKEN_OFF = Answer(
    200,
    {"ETag": '"e"', "Last-Modified": "Tue, 14 Nov 2023 22:13:20 GMT", "Content-Length": "1000"},
    b"the first bytes",
    breaks=ProtocolError("Connection broken"),
)
OF_RECONCILE = [
    "s3.ListObjectsV2",
    "s3.GetObject",
    "s3.HeadObject",
    "s3.PutObject",
    "sqs.SendMessage",
    "sqs.SendMessageBatch",
]
OF_EXTRACT = ["s3.GetObject", "s3.PutObject", "sqs.SendMessage"]
OF_MERGE = [
    "s3.ListObjectsV2",
    "s3.GetObject",
    "s3.HeadObject",
    "s3.PutObject",
    "s3.DeleteObjects",
]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


def client_of(app: ModuleType, operation: str) -> Any:
    """The client through which a function makes such requests."""
    ctx = app.ctx()
    if operation.startswith("sqs"):
        return (
            ctx.extractor.merge_queue.queue if hasattr(ctx, "extractor") else ctx.merge_queue
        )._client
    return getattr(ctx, "extractor", ctx).channel._bucket.client


def staged_upload(stack: Stack) -> None:
    upload(stack)
    stack.invoke(load("extract"), notification(KEY))
    stack.logs.clear()


def published(stack: Stack) -> list[str]:
    return list(stack.read(BUCKET, f"{SUBDIR}/repodata.json")["packages.conda"])


def about(key: str) -> Callable[[str], bool]:
    """Match the requests about one key."""
    return lambda url: url.endswith(key)


def waits(merge: ModuleType, monkeypatch: pytest.MonkeyPatch) -> MemoryQueue:
    """Take messages back in the place of MergeQueue."""
    queue = MemoryQueue()
    monkeypatch.setattr(merge.ctx().merge_queue, "change_visibility", queue.change_visibility)
    return queue


# --- extract ----------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OF_EXTRACT)
def test_an_upload_is_staged_in_one_try_where_the_last_resending_is_answered(
    stack: Stack, extract: ModuleType, operation: str
) -> None:
    upload(stack)
    client = client_of(extract, operation)
    with failing(client, operation, SLOW_DOWN, times=ATTEMPTS_MAX - 1) as met:
        assert stack.invoke(extract, batch(sqs_record(notification(KEY)))) == DONE
    assert len(met) == ATTEMPTS_MAX - 1
    assert [staged["verdict"] for staged in stack.staged()] == ["indexed"]


@pytest.mark.parametrize("operation", OF_EXTRACT)
def test_an_upload_whose_requests_stay_unanswered_comes_back_soon_and_is_staged_then(
    stack: Stack, extract: ModuleType, upload_queue: MemoryQueue, operation: str
) -> None:
    upload(stack)
    for received, failure in enumerate(FAILURES, start=1):
        message = sqs_record(notification(KEY), received=received)
        with failing(client_of(extract, operation), operation, failure) as met:
            assert stack.invoke(extract, batch(message)) == BACK
        assert len(met) == ATTEMPTS_MAX
        assert stack.logs[-1]["exception_name"] == "Unavailable"
    assert upload_queue.visibility == [("handle", 15), ("handle", 60), ("handle", 240)]
    assert stack.invoke(extract, batch(sqs_record(notification(KEY), received=4))) == DONE
    assert {staged["verdict"] for staged in stack.staged()} == {"indexed"}
    assert len(stack.receive()) == 1


def test_a_package_whose_download_breaks_off_is_no_reject_but_tried_again(
    stack: Stack, extract: ModuleType, upload_queue: MemoryQueue
) -> None:
    upload(stack)
    with failing(client_of(extract, "s3"), "s3.GetObject", BROKEN_OFF):
        assert stack.invoke(extract, batch(sqs_record(notification(KEY)))) == BACK
    assert (stack.staged(), upload_queue.visibility) == ([], [("handle", 15)])
    assert stack.invoke(extract, batch(sqs_record(notification(KEY), received=2))) == DONE
    assert [staged["verdict"] for staged in stack.staged()] == ["indexed"]


def test_a_staging_record_whose_answer_was_lost_is_staged_once_under_the_same_key(
    stack: Stack, extract: ModuleType
) -> None:
    upload(stack)
    client = client_of(extract, "s3")
    with failing(client, "s3.PutObject", READ_TIMEOUT, times=1, landed=True):
        assert stack.invoke(extract, batch(sqs_record(notification(KEY)))) == DONE
    assert len(stack.staged()) == 1


def test_of_a_batch_only_the_uploads_that_could_not_be_staged_come_back(
    stack: Stack, extract: ModuleType, upload_queue: MemoryQueue
) -> None:
    keys = {name: f"{SUBDIR}/{name}-1-0.conda" for name in ("first", "second", "third")}
    for key in keys.values():
        upload(stack, key)
    messages = [
        sqs_record(notification(key), message_id=name, receipt_handle=f"handle of {name}")
        for name, key in keys.items()
    ]
    client = client_of(extract, "s3")
    with failing(client, "s3.PutObject", SLOW_DOWN, where=lambda url: "second-1" in url):
        answer = stack.invoke(extract, batch(*messages))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "second"}]}
    assert upload_queue.visibility == [("handle of second", 15)]
    assert {staged["filename"] for staged in stack.staged()} == {
        "first-1-0.conda",
        "third-1-0.conda",
    }


def test_an_upload_that_cannot_even_be_handed_back_still_comes_back(
    stack: Stack, extract: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = load("extract").ctx().uploads
    ctx = replace(extract.ctx(), uploads=queue)
    monkeypatch.setattr(extract, "ctx", lambda: ctx)
    upload(stack)
    with (
        failing(client_of(extract, "s3"), "s3.PutObject", SLOW_DOWN),
        failing(queue._client, "sqs.ChangeMessageVisibility", READ_TIMEOUT),
    ):
        assert stack.invoke(extract, batch(sqs_record(notification(KEY)))) == BACK


# --- merge ------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OF_MERGE)
def test_a_merge_whose_requests_stay_unanswered_comes_back_soon_and_publishes_then(
    stack: Stack, merge: ModuleType, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    staged_upload(stack)
    queue = waits(merge, monkeypatch)
    for received, failure in enumerate(FAILURES, start=1):
        message = sqs_record(request(), received=received)
        with failing(client_of(merge, operation), operation, failure) as met:
            assert stack.invoke(merge, batch(message)) == BACK
        assert len(met) >= ATTEMPTS_MAX
        assert stack.logs[-1]["exception_name"] == "Unavailable"
        assert len(stack.staged()) == 1
    assert queue.visibility == [("handle", 2), ("handle", 4), ("handle", 8)]
    assert stack.invoke(merge, batch(sqs_record(request(), received=4))) == DONE
    assert (published(stack), stack.staged()) == ([PACKAGE.filename], [])


@pytest.mark.parametrize("operation", OF_MERGE)
def test_a_merge_goes_through_in_one_try_where_the_last_resending_is_answered(
    stack: Stack, merge: ModuleType, operation: str
) -> None:
    staged_upload(stack)
    with failing(client_of(merge, operation), operation, SLOW_DOWN, times=ATTEMPTS_MAX - 1):
        assert stack.invoke(merge, batch(sqs_record(request()))) == DONE
    assert (published(stack), stack.staged()) == ([PACKAGE.filename], [])
    assert stack.read(STATE, f"heads/{SUBDIR}.json")["generation"] == 1


def test_a_first_merge_that_cannot_ask_for_noarch_has_not_committed_and_asks_again(
    stack: Stack, merge: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = conda({**INDEX, "subdir": "linux-64"})
    key = f"demo/{package.path}"
    upload(stack, key, package.body)
    stack.invoke(load("extract"), notification(key))
    stack.receive()
    queue = waits(merge, monkeypatch)
    with failing(merge.ctx().merge_queue._client, "sqs.SendMessage", SLOW_DOWN):
        assert stack.invoke(merge, batch(sqs_record(request(subdir="linux-64")))) == BACK
    assert queue.visibility == [("handle", 2)]
    assert stack.keys(STATE, "heads/") == []
    assert stack.invoke(merge, batch(sqs_record(request(subdir="linux-64")))) == DONE
    (asked,) = [json.loads(message["body"]) for message in stack.receive()]
    assert (asked["subdir"], asked["create"]) == ("noarch", True)


def test_a_merge_that_cannot_even_be_handed_back_still_comes_back(
    stack: Stack, merge: ModuleType
) -> None:
    staged_upload(stack)
    with (
        failing(client_of(merge, "s3"), "s3.ListObjectsV2", SLOW_DOWN),
        failing(merge.ctx().merge_queue._client, "sqs.ChangeMessageVisibility", READ_TIMEOUT),
    ):
        assert stack.invoke(merge, batch(sqs_record(request()))) == BACK
    assert len(stack.staged()) == 1


# --- reconcile --------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OF_RECONCILE)
def test_what_a_run_could_not_do_is_done_by_the_next(
    stack: Stack, reconcile: ModuleType, operation: str
) -> None:
    merge_app, runs = load("merge"), reconcile.ctx()
    staged_upload(stack)
    stack.invoke(merge_app, batch(sqs_record(request())))
    other = conda(OTHER)
    upload(stack, f"demo/{other.path}", other.body)  # and its event is lost
    stack.s3.delete_object(Bucket=BUCKET, Key=KEY)  # this one's as well
    client = runs.uploads._client if operation.startswith("sqs") else runs.channel._bucket.client
    for failure in FAILURES:
        with failing(client, operation, failure) as met, suppress(Unavailable):
            report = stack.invoke(reconcile, {})
            assert report["counts"]["failed"] == 1
        assert len(met) >= ATTEMPTS_MAX
    stack.receive(UPLOAD_QUEUE_URL)

    found = stack.invoke(reconcile, {})["counts"]
    assert (found["failed"], found["missing"], found["gone"]) == (0, 1, 1)
    for look in stack.receive(UPLOAD_QUEUE_URL):
        stack.invoke(load("extract"), batch(look))
    assert stack.invoke(merge_app, batch(sqs_record(request()))) == DONE
    assert published(stack) == [other.filename]


# --- conditional writes -----------------------------------------------------------------------

OTHER = {**INDEX, "name": "other", "version": "1", "build": "0"}
HEAD = f"heads/{SUBDIR}.json"
INDEXES = [f"{SUBDIR}/{name}" for name in (SHARD_INDEX, REPODATA_ZST, REPODATA)]


@pytest.mark.parametrize("landed", [False, True], ids=["not-landed", "landed"])
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(error(409, "ConditionalRequestConflict"), id="409"),
        pytest.param(error(412, "PreconditionFailed"), id="412"),
        pytest.param(READ_TIMEOUT, id="no-answer"),
    ],
)
def test_conditional_writes_without_a_plain_success_are_settled_by_looking(
    stack: Stack, merge: ModuleType, answer: Answer | Exception, *, landed: bool
) -> None:
    staged_upload(stack)
    client = client_of(merge, "s3")
    with ExitStack() as faults:
        met = [
            faults.enter_context(
                failing(client, "s3.PutObject", answer, times=1, landed=landed, where=about(key))
            )
            for key in (HEAD, *INDEXES)
        ]
        assert stack.invoke(merge, batch(sqs_record(request()))) == DONE
    assert [len(urls) for urls in met] == [1] * 4
    assert (published(stack), stack.staged()) == ([PACKAGE.filename], [])
    assert stack.read(STATE, HEAD)["generation"] == 1
    for name in INDEXES:
        metadata = stack.s3.head_object(Bucket=BUCKET, Key=name)["Metadata"]
        assert metadata["sluice-generation"] == "1"


def test_index_files_that_are_deleted_under_their_condition_are_written_anew(
    stack: Stack, merge: ModuleType
) -> None:
    """404 under ``If-Match``: what was looked at is gone."""
    staged_upload(stack)
    stack.invoke(merge, batch(sqs_record(request())))
    other = conda(OTHER)
    upload(stack, f"demo/{other.path}", other.body)
    stack.invoke(load("extract"), notification(f"demo/{other.path}"))
    gone: list[str] = []

    client = client_of(merge, "s3")
    send = client.send

    def vanish(request: Any) -> Any:
        for key in INDEXES:
            if request.method == "PUT" and request.url.endswith(key) and key not in gone:
                gone.append(key)
                stack.s3.delete_object(Bucket=BUCKET, Key=key)
        return send(request)

    client.send = vanish
    assert stack.invoke(merge, batch(sqs_record(request()))) == DONE
    assert sorted(gone) == sorted(INDEXES)
    assert published(stack) == [PACKAGE.filename, other.filename]
    for name in INDEXES:
        metadata = stack.s3.head_object(Bucket=BUCKET, Key=name)["Metadata"]
        assert metadata["sluice-generation"] == "2"
