"""The reconcile function: how it is asked, what it tells, and when a step is tried again."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest
from moto.s3.models import s3_backends

from sluice.catalog.brake import filenames_digest
from sluice.errors import UnknownEvent
from tests.handlers.functions import (
    BACK,
    BUCKET,
    DONE,
    EVENTS,
    KEY,
    PACKAGE,
    RECONCILE_QUEUE_URL,
    STATE,
    SUBDIR,
    UPLOAD_QUEUE_URL,
    Context,
    Stack,
    batch,
    load,
    sqs_record,
    upload,
    visibility_changes,
)
from tests.handlers.stack_driver import ACCOUNT

# Said by powertools on standard error after an invocation that has nothing to count.
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")


def step(stack: Stack) -> dict[str, Any]:
    """Make a message of a step that is to come."""
    upload(stack)
    (sample,) = json.loads((EVENTS / "reconcile-step.json").read_text())["Records"]
    record: dict[str, Any] = sqs_record(sample["body"])
    return record


def repair(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let extract and merge do what reconcile has asked for."""
    for record in stack.receive(UPLOAD_QUEUE_URL):
        assert stack.invoke(load("extract"), batch(record)) == DONE
    merge = load("merge")
    every_window_has_closed = replace(merge.ctx(), clock=lambda: 4_000_000_000_000)
    monkeypatch.setattr(merge, "ctx", lambda: every_window_has_closed)
    while records := stack.receive():
        for record in records:
            assert stack.invoke(merge, batch(record)) == DONE


def test_a_package_that_no_event_told_of_is_indexed_after_a_run(
    stack: Stack, reconcile: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(stack)
    report = stack.invoke(reconcile, {})
    assert report["counts"]["fed"] == report["counts"]["missing"] == 1
    repair(stack, monkeypatch)
    repodata = stack.read(BUCKET, f"{SUBDIR}/repodata.json")
    assert list(repodata["packages.conda"]) == [PACKAGE.filename]
    again = stack.invoke(load("reconcile"), {})
    assert again["counts"] == {**dict.fromkeys(again["counts"], 0), "subdirs": 1, "objects": 1}


def test_the_report_is_returned_and_kept(stack: Stack, reconcile: ModuleType) -> None:
    upload(stack)
    report = stack.invoke(reconcile, {"channel": "demo", "subdir": "noarch"})
    kept, claim = stack.keys(STATE)
    assert kept == f"reconciliations/{report['run']}.json"
    assert stack.read(STATE, claim)["run"] == report["run"]
    assert stack.read(STATE, f"reconciliations/{report['run']}.json") == report
    assert json.loads(json.dumps(report)) == report


def test_a_run_is_told_in_one_line_and_in_metrics(stack: Stack, reconcile: ModuleType) -> None:
    upload(stack)
    report = stack.invoke(reconcile, {"channel": "demo"})
    (line,) = stack.logs
    told = {key: line[key] for key in ("level", "message", "run", "step", "finished", "counts")}
    assert told == {
        "level": "INFO",
        "message": "reconciled",
        "run": report["run"],
        "step": 1,
        "finished": True,
        "counts": report["counts"],
    }
    assert line["request"]["channel"] == "demo"
    assert stack.metrics == {
        "ReconcileRepairs": [1],
        "ReconcileFailures": [0],
        "RemovalsWaiting": [0],
        "GarbageCollected": [0],
        "MisplacedFiles": [0],
    }


def test_removals_that_wait_are_told_and_counted_until_they_are_confirmed(
    stack: Stack, reconcile: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sluice.catalog.brake.BRAKE_PACKAGES_MIN", 1)
    upload(stack)
    # An upload within the second of a confirmation may be another object than was confirmed.
    s3_backends[ACCOUNT]["aws"].buckets[BUCKET].keys[KEY].last_modified -= timedelta(minutes=1)
    stack.invoke(reconcile, {})
    repair(stack, monkeypatch)
    stack.s3.delete_object(Bucket=BUCKET, Key=KEY)
    stack.logs.clear()
    stack.metrics.clear()
    report = stack.invoke(reconcile, {})
    (told,) = report["steps"]["1"]["subdirs"]
    digest = filenames_digest([PACKAGE.filename])
    assert told["waiting"] == {
        "files": 1,
        "packages": 1,
        "of": 1,
        "digest": digest,
        "since": told["waiting"]["since"],
        "until": told["waiting"]["since"] + 3 * 86_400_000,
    }
    (warning,) = (line for line in stack.logs if line["level"] == "WARNING")
    assert (warning["message"], warning["channel"], warning["subdir"], warning["waiting"]) == (
        "removals wait",
        "demo",
        "noarch",
        told["waiting"],
    )
    assert stack.metrics["RemovalsWaiting"] == [1]
    confirmed = stack.invoke(reconcile, {"channel": "demo", "confirm": digest})
    assert (confirmed["counts"]["removals"], confirmed["counts"]["confirmed"]) == (1, 1)
    assert stack.metrics["RemovalsWaiting"] == [1, 0]
    assert stack.keys(STATE, "brakes/") == ["brakes/demo/noarch.json"]


def test_a_dry_run_counts_as_no_repair(stack: Stack, reconcile: ModuleType) -> None:
    upload(stack)
    stack.invoke(reconcile, {"dry_run": True})
    assert stack.metrics == {"ReconcileFailures": [0]}
    assert stack.receive(UPLOAD_QUEUE_URL) == []


def test_a_subdir_that_failed_is_told_by_name(stack: Stack, reconcile: ModuleType) -> None:
    upload(stack)
    stack.s3.put_object(Bucket=STATE, Key="heads/demo/noarch.json", Body=b"broken")
    report = stack.invoke(reconcile, {})
    (error,) = (line for line in stack.logs if line["level"] == "ERROR")
    assert (error["channel"], error["subdir"]) == ("demo", "noarch")
    assert error["reason"] == report["steps"]["1"]["subdirs"][0]["failure"]
    assert error["reason"].startswith("Corrupt: heads/demo/noarch.json: ")
    assert stack.metrics["ReconcileFailures"] == [1]


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        ({"dryrun": True}, "Object contains unknown field `dryrun`"),
        ({"dry_run": "yes"}, "Expected `bool`, got `str`"),
        ({"subdir": "noarch"}, "a subdir needs a channel"),
        ({"channel": "demo", "subdir": "Linux"}, "'Linux' is not the name of a subdir"),
        ({"channel": "demo/"}, "'demo/' must not begin or end with a slash"),
        ([], "Expected `object`, got `array`"),
        ({"confirm": "yes"}, "'yes' is not the digest of pending removals"),
    ],
)
def test_a_request_that_is_misspelt_does_nothing_and_says_why(
    stack: Stack, reconcile: ModuleType, payload: Any, sentence: str
) -> None:
    upload(stack)
    with pytest.raises(UnknownEvent, match=sentence):
        stack.invoke(reconcile, payload)
    assert stack.keys(STATE) == []
    assert stack.receive(UPLOAD_QUEUE_URL) == []


def test_a_step_goes_on_with_its_run(stack: Stack, reconcile: ModuleType) -> None:
    assert stack.invoke(reconcile, batch(step(stack))) == DONE
    (key,) = stack.keys(STATE)
    assert key == "reconciliations/2026-01-01T000000Z-1f2e3d4c.json"
    assert list(stack.read(STATE, key)["steps"]) == ["2"]


def test_a_run_that_lambda_leaves_no_time_goes_on_through_the_queue(
    stack: Stack, reconcile: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Context, "get_remaining_time_in_millis", lambda _self: 0)
    for channel in ("a", "b"):
        upload(stack, f"{channel}/{PACKAGE.path}")
    report = stack.invoke(reconcile, {})
    assert report["finished_at"] is None
    steps = 1
    while messages := stack.receive(RECONCILE_QUEUE_URL):
        assert stack.invoke(reconcile, batch(*messages)) == DONE
        for message in messages:
            stack.sqs.delete_message(
                QueueUrl=RECONCILE_QUEUE_URL, ReceiptHandle=message["receiptHandle"]
            )
        steps += 1
    report = stack.read(STATE, f"reconciliations/{report['run']}.json")
    assert report["finished_at"] is not None
    assert (len(report["steps"]), report["counts"]["subdirs"]) == (steps, 2)
    assert [line["finished"] for line in stack.logs] == [False] * (steps - 1) + [True]


def test_a_run_that_is_under_way_is_not_started_again_and_counted_once(
    stack: Stack, reconcile: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter([900_000, 0, 0, 0])
    monkeypatch.setattr(Context, "get_remaining_time_in_millis", lambda _self: next(left, 900_000))
    for channel in ("a", "b"):
        upload(stack, f"{channel}/{PACKAGE.path}")
    first = stack.invoke(reconcile, {})
    metrics = dict(stack.metrics)
    monkeypatch.setattr(Context, "aws_request_id", "another request")
    monkeypatch.setattr(Context, "__init__", lambda _self: None)
    again = stack.invoke(reconcile, {})
    assert (again["run"], again["finished_at"]) == (first["run"], None)
    assert stack.metrics == metrics
    assert len(stack.receive(RECONCILE_QUEUE_URL)) == 1


def test_a_step_that_fails_comes_back_later_each_time(stack: Stack, reconcile: ModuleType) -> None:
    record = step(stack)
    key = "reconciliations/2026-01-01T000000Z-1f2e3d4c.json"
    stack.s3.put_object(Bucket=STATE, Key=key, Body=b"broken")
    stack.sqs.send_message(
        QueueUrl=RECONCILE_QUEUE_URL,
        MessageBody=record["body"],
        MessageGroupId="reconcile",
        MessageDeduplicationId="1",
    )
    (record,) = stack.receive(RECONCILE_QUEUE_URL)
    changes = visibility_changes(reconcile.ctx().continuations)
    for received in (1, 2, 5, 99):
        record["attributes"]["ApproximateReceiveCount"] = str(received)
        assert stack.invoke(reconcile, batch({**record, "messageId": "m"})) == BACK
    assert changes == [30, 60, 480, 600]
    errors = [line for line in stack.logs if line["level"] == "ERROR"]
    assert [(line["message"], line["exception_name"]) for line in errors] == [
        ("step failed, will be retried", "Corrupt")
    ] * 4
    assert stack.metrics == {"ReconcileFailures": [1, 1, 1, 1]}


def test_only_channels_below_the_prefixes_are_reconciled(
    stack: Stack, reconcile: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reconcile
    monkeypatch.setenv("CHANNEL_PREFIXES", "demo/")
    upload(stack)
    upload(stack, f"other/{PACKAGE.path}")
    report = stack.invoke(load("reconcile"), {})
    assert report["counts"]["objects"] == 1
    (message,) = stack.receive(UPLOAD_QUEUE_URL)
    assert json.loads(message["body"])["key"] == KEY


@pytest.mark.parametrize("name", ["OWNER", "RETENTION_DAYS", "BRAKE_DAYS", "RECONCILE_QUEUE_URL"])
def test_without_its_environment_it_fails_naming_the_variable(
    stack: Stack, reconcile: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reconcile
    monkeypatch.delenv(name)
    with pytest.raises(Exception, match=f"the environment variable {name} is not set"):
        stack.invoke(load("reconcile"), {})
