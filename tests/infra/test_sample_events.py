"""``events/``: what is handed to ``sam local invoke`` is what the functions understand."""

from __future__ import annotations

import json
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from sluice.layout import Subdir
from sluice.messages import merge_request, s3_event
from sluice.messages.s3_event import ObjectEvent
from sluice.reconcile import run
from sluice.reconcile.run import ReconcileRequest

FOLDER = Path(__file__).parents[2] / "events"
BUCKET = "sluice-channel-123456789012-us-east-1"
HELLO = ObjectEvent(BUCKET, "demo/noarch/demo-hello-1.0.0-py_0.conda", 1161)
CONFIG = ObjectEvent(BUCKET, "demo/sluice.toml", 29)
TORCH = ObjectEvent(BUCKET, "demo/linux-64/demo-torch-2.1+cpu-py_0.conda", None)


def load(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


def bodies(event: Any) -> list[str]:
    return [record["body"] for record in event["Records"]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("extract-s3-put", [HELLO]), ("extract-eventbridge-created", [HELLO])],
)
def test_an_event_that_comes_directly_names_its_object(
    name: str, expected: list[ObjectEvent]
) -> None:
    assert s3_event.parse_s3_event(load(name)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("extract-sqs-put", [HELLO]),
        ("extract-sqs-removed", [TORCH]),
        ("extract-sqs-config", [CONFIG]),
        ("extract-sqs-test-event", []),
    ],
)
def test_an_event_in_a_message_names_its_object(name: str, expected: list[ObjectEvent]) -> None:
    (body,) = bodies(load(name))
    assert s3_event.parse_s3_event_body(body) == expected


def test_a_merge_request_names_its_subdir() -> None:
    (body,) = bodies(load("merge-request"))
    assert merge_request.parse_merge_request(body).subdir == Subdir("demo", "noarch")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("reconcile-schedule", ReconcileRequest()),
        ("reconcile-dry-run", ReconcileRequest(channel="demo", subdir="noarch", dry_run=True)),
    ],
)
def test_a_call_of_reconcile_says_what_is_wanted(name: str, expected: ReconcileRequest) -> None:
    assert run.parse_reconcile_request(load(name)) == expected


def test_a_step_of_reconcile_is_one_that_could_be_taken() -> None:
    (body,) = bodies(load("reconcile-step"))
    assert run._parse_message(body).request == ReconcileRequest(channel="demo")


def test_every_sample_is_looked_at_here() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == {
        "extract-s3-put",
        "extract-eventbridge-created",
        "extract-sqs-put",
        "extract-sqs-removed",
        "extract-sqs-config",
        "extract-sqs-test-event",
        "merge-request",
        "reconcile-schedule",
        "reconcile-dry-run",
        "reconcile-step",
    }


def test_messages_carry_the_digest_of_their_body() -> None:
    for path in FOLDER.glob("*.json"):
        for record in json.loads(path.read_text()).get("Records", []):
            if record["eventSource"] == "aws:sqs":
                digest = md5(record["body"].encode(), usedforsecurity=False).hexdigest()
                assert record["md5OfBody"] == digest
