"""The merge function: what it tells, when it gives a message back, and for how long."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from testkit.channel import conda
from tests.handlers.functions import (
    BACK,
    BUCKET,
    DONE,
    EVENTS,
    INDEX,
    KEY,
    PACKAGE,
    STATE,
    SUBDIR,
    Context,
    Stack,
    batch,
    load,
    notification,
    request,
    sqs_record,
    upload,
    visibility_changes,
)

# Said by powertools on standard error after an invocation that has nothing to count.
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")


def staged_upload(stack: Stack, *keys: str) -> None:
    """Upload and extract."""
    app = load("extract")
    for key in keys or (KEY,):
        upload(stack, key)
    stack.invoke(app, notification(*(keys or (KEY,))))
    stack.receive()
    stack.logs.clear()
    stack.metrics.clear()


def message(stack: Stack, body: str, *, received: int = 1) -> dict[str, Any]:
    """Put a message into the merge queue and receive it."""
    stack.sqs.send_message(
        QueueUrl=stack.queue_url,
        MessageBody=body,
        MessageGroupId="g",
        MessageDeduplicationId="handlers",
    )
    (record,) = stack.receive()
    record["attributes"]["ApproximateReceiveCount"] = str(received)
    return {**record, "messageId": "m"}


def set_clock(app: ModuleType, now_ms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the function go by another clock."""
    ctx = replace(app.ctx(), clock=lambda: now_ms)
    monkeypatch.setattr(app, "ctx", lambda: ctx)


def test_a_merge_publishes_what_is_staged_and_tells_so(stack: Stack, merge: ModuleType) -> None:
    staged_upload(stack)
    assert stack.invoke(merge, batch(message(stack, request()))) == DONE
    repodata = stack.read(BUCKET, f"{SUBDIR}/repodata.json")
    assert list(repodata["packages.conda"]) == [PACKAGE.filename]
    lag = stack.metrics.pop("IndexLag")
    duration = stack.metrics.pop("MergeDuration")
    assert len(lag) == len(duration) == 1
    assert lag[0] >= 0
    assert stack.metrics == {
        "PackagesIndexed": [1],
        "PackagesRemoved": [0],
        "PackagesRejected": [0],
        "TimestampWarnings": [0],
        "ForeignIndexWrites": [0],
        "StagingSetAside": [0],
    }
    (line,) = stack.logs
    told = ("message", "channel", "subdir", "generation", "staged", "files_written", "unfinished")
    assert {key: line[key] for key in told} == {
        "message": "merged",
        "channel": "demo",
        "subdir": "noarch",
        "generation": 1,
        "staged": 1,
        "files_written": 3,
        "unfinished": False,
    }


def test_an_index_may_be_kept_for_as_long_as_the_environment_says(
    stack: Stack, merge: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INDEX_CACHE_MAX_AGE", "7")
    staged_upload(stack)
    stack.invoke(merge, batch(sqs_record(request())))
    found = stack.s3.head_object(Bucket=BUCKET, Key=f"{SUBDIR}/repodata.json")
    assert found["CacheControl"] == "public, max-age=7"


def test_removals_and_rejects_are_counted(stack: Stack, merge: ModuleType) -> None:
    staged_upload(stack)
    stack.invoke(merge, batch(message(stack, request())))
    stack.s3.delete_object(Bucket=BUCKET, Key=KEY)
    corrupt = f"{SUBDIR}/other-1-0.conda"
    upload(stack, corrupt, b"corrupt")
    stack.invoke(load("extract"), notification(KEY, corrupt))
    stack.metrics.clear()
    stack.invoke(merge, batch(sqs_record(request())))
    assert {name: stack.metrics[name] for name in stack.metrics if name.startswith("Packages")} == {
        "PackagesIndexed": [0],
        "PackagesRemoved": [1],
        "PackagesRejected": [1],
    }
    (reject,) = stack.read(STATE, "rejects/demo/noarch.json")["rejects"]
    assert reject["filename"] == "other-1-0.conda"


def test_a_package_that_was_built_after_it_was_indexed_is_counted_and_told(
    stack: Stack, merge: ModuleType
) -> None:
    late = conda({**INDEX, "timestamp": 4_000_000_000_000})
    upload(stack, body=late.body)
    stack.invoke(load("extract"), notification(KEY))
    stack.invoke(merge, batch(sqs_record(request())))
    counted = ("PackagesIndexed", "PackagesRejected", "TimestampWarnings")
    assert [stack.metrics[name] for name in counted] == [[1], [0], [1]]
    told = [line for line in stack.logs if line["level"] == "WARNING"]
    assert [(line["message"], line["files"]) for line in told] == [
        ("timestamps after indexing", [PACKAGE.filename])
    ]
    (warning,) = stack.read(STATE, "rejects/demo/noarch.json")["warnings"]
    assert warning["filename"] == PACKAGE.filename


def test_a_configuration_that_cannot_be_used_is_counted_as_a_reject_and_told_once(
    stack: Stack, merge: ModuleType
) -> None:
    staged_upload(stack)
    stack.invoke(merge, batch(message(stack, request())))
    stack.s3.put_object(Bucket=BUCKET, Key="demo/sluice.toml", Body=b"[sluice]\nrun_exports = 1\n")
    stack.metrics.clear()
    for _ in range(2):
        stack.invoke(load("extract"), notification("demo/sluice.toml"))
        stack.invoke(merge, batch(sqs_record(request())))
    assert stack.metrics["PackagesRejected"] == [1, 0]
    (line,) = [line for line in stack.logs if line["level"] == "ERROR"]
    assert (line["file"], line["code"]) == ("sluice.toml", "config-invalid")
    (problem,) = stack.read(STATE, "rejects/demo/noarch.json")["problems"]
    assert problem["sentence"] == line["sentence"]


def test_an_overwritten_package_is_counted_as_indexed(stack: Stack, merge: ModuleType) -> None:
    staged_upload(stack)
    stack.invoke(merge, batch(sqs_record(request())))
    upload(stack, body=conda(INDEX, payload=b"rebuilt").body)
    stack.invoke(load("extract"), notification(KEY))
    stack.metrics.clear()
    stack.invoke(merge, batch(sqs_record(request())))
    assert {name: stack.metrics[name] for name in stack.metrics if name.startswith("Packages")} == {
        "PackagesIndexed": [1],
        "PackagesRemoved": [0],
        "PackagesRejected": [0],
    }


def test_a_merge_ends_early_where_lambda_leaves_it_no_time(
    stack: Stack, merge: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.merge.merge.MERGE_BATCH_RECORDS_MAX", 1)
    monkeypatch.setattr(Context, "get_remaining_time_in_millis", lambda _self: 0)
    staged_upload(stack, KEY, f"{SUBDIR}/other-1-0.conda")
    assert stack.invoke(merge, batch(sqs_record(request()))) == DONE
    (line,) = stack.logs
    assert (line["staged"], line["unfinished"]) == (1, True)
    assert len(stack.staged()) == 1


def test_the_lag_of_every_package_is_told_however_many_there_are(
    stack: Stack, merge: ModuleType
) -> None:
    packages = [conda({**INDEX, "version": str(n)}) for n in range(120)]
    for package in packages:
        upload(stack, f"demo/{package.path}", package.body)
    stack.invoke(load("extract"), notification(*(f"demo/{package.path}" for package in packages)))
    assert stack.invoke(merge, batch(sqs_record(request()))) == DONE
    assert stack.metrics["PackagesIndexed"] == [120]
    assert len(stack.metrics["IndexLag"]) == 120


def test_a_message_that_comes_too_early_is_given_back_until_its_window_has_closed(
    stack: Stack, merge: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged_upload(stack)
    set_clock(merge, 1_000_000, monkeypatch)
    changes = visibility_changes(merge.ctx().merge_queue)
    early = message(stack, request(not_before=1_002_001))
    assert stack.invoke(merge, batch(early)) == BACK
    assert changes == [3]
    assert stack.keys(BUCKET, f"{SUBDIR}/repodata") == []
    assert [line for line in stack.logs if line["level"] == "ERROR"] == []
    set_clock(merge, 1_002_001, monkeypatch)
    assert stack.invoke(merge, batch(early)) == DONE


def test_a_merge_that_fails_comes_back_soon_and_later_each_time(
    stack: Stack, merge: ModuleType
) -> None:
    staged_upload(stack)
    stack.s3.put_object(Bucket=STATE, Key="heads/demo/noarch.json", Body=b"broken")
    changes = visibility_changes(merge.ctx().merge_queue)
    record = message(stack, request())
    for received in (1, 3, 99):
        record["attributes"]["ApproximateReceiveCount"] = str(received)
        assert stack.invoke(merge, batch(record)) == BACK
    assert changes == [2, 8, 300]
    errors = [line for line in stack.logs if line["level"] == "ERROR"]
    assert [(line["message"], line["exception_name"], line["subdir"]) for line in errors] == [
        ("the merge will be tried again", "Corrupt", "noarch")
    ] * 3
    assert stack.metrics == {"MergeFailures": [1, 1, 1]}
    assert len(stack.staged()) == 1


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("not a request", "UnknownEvent"),
        (json.dumps({**json.loads(request()), "format": 2}), "TooNew"),
    ],
)
def test_a_message_that_is_no_merge_request_goes_back_and_is_told(
    stack: Stack, merge: ModuleType, body: str, name: str
) -> None:
    assert stack.invoke(merge, batch(message(stack, body))) == BACK
    errors = [line for line in stack.logs if line["level"] == "ERROR"]
    assert [line["exception_name"] for line in errors] == [name]


def test_a_failed_message_holds_those_behind_it(stack: Stack, merge: ModuleType) -> None:
    event = batch(
        {**message(stack, "not a request"), "messageId": "first"},
        sqs_record(request(), message_id="second"),
    )
    answer = stack.invoke(merge, event)
    assert [one["itemIdentifier"] for one in answer["batchItemFailures"]] == ["first", "second"]


@pytest.mark.parametrize("sample", sorted(EVENTS.glob("merge-*.json")), ids=lambda path: path.stem)
def test_every_sample_event_for_merge_is_understood(
    stack: Stack, merge: ModuleType, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged_upload(stack)
    set_clock(merge, 2_000_000_000_000, monkeypatch)
    assert stack.invoke(merge, json.loads(sample.read_text())) == DONE
    assert f"{SUBDIR}/repodata.json" in stack.keys(BUCKET)


@pytest.mark.parametrize("name", ["extract", "merge"])
def test_a_function_without_its_environment_fails_naming_the_variable(
    stack: Stack, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stack
    monkeypatch.delenv("STATE_BUCKET")
    app = load(name)
    with pytest.raises(Exception, match="the environment variable STATE_BUCKET is not set"):
        app.ctx()
