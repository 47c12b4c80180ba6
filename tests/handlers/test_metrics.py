"""Every metric that an alarm or the dashboard names is sent, and every one sent can be seen."""

from __future__ import annotations

import json
from dataclasses import replace
from types import ModuleType

import pytest

from local.monitoring import alarms, widgets
from sluice.errors import Unavailable
from sluice.layout import channel_binding_key
from testkit.memory_queue import MemoryQueue
from tests.handlers.functions import (
    BACK,
    KEY,
    STATE,
    Stack,
    batch,
    load,
    notification,
    request,
    sqs_record,
    upload,
)
from tests.support.template import TEMPLATE, properties

OURS = "Sluice/"


def as_deployed(name: str, queue: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load a function that has its name from the template, and takes no message back for good."""
    variables = properties(f"{name.capitalize()}Function")["Environment"]["Variables"]
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", variables["POWERTOOLS_SERVICE_NAME"])
    module = load(name)
    ctx = replace(module.ctx(), **{queue: MemoryQueue()})
    monkeypatch.setattr(module, "ctx", lambda: ctx)
    return module


def bind_to_another_bucket(stack: Stack) -> None:
    """Have the state say that the channel's catalog describes another bucket."""
    binding = {"bucket": "another-bucket", "created_at": 0, "writer": "w", "format": 1}
    key = channel_binding_key("demo")
    stack.s3.put_object(Bucket=STATE, Key=key, Body=json.dumps(binding).encode())


@pytest.fixture
def emitted(
    stack: Stack, reconcile: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> set[tuple[str, str]]:
    """What all functions send, as they are invoked once for good and once for worse."""
    assert reconcile  # its queue is there
    upload(stack)
    bad = batch(sqs_record("neither event nor request"))
    extract = as_deployed("extract", "uploads", monkeypatch)
    stack.invoke(extract, batch(sqs_record(notification(KEY))))
    stack.invoke(extract, batch(sqs_record(notification("demo/linux64/a-1-0.conda"))))
    assert stack.invoke(extract, bad) == BACK
    merge = as_deployed("merge", "merge_queue", monkeypatch)
    stack.invoke(merge, batch(sqs_record(request())))
    assert stack.invoke(merge, bad) == BACK
    again = as_deployed("reconcile", "continuations", monkeypatch)
    stack.invoke(again, {})
    assert stack.invoke(again, bad) == BACK
    bind_to_another_bucket(stack)
    assert stack.invoke(merge, batch(sqs_record(request()))) == BACK
    merge_sent = set(stack.emitted)
    stack.emitted.discard(("sluice", "WrongState"))
    stack.invoke(again, {})
    assert stack.emitted == merge_sent
    return stack.emitted


def test_the_dashboard_shows_exactly_what_the_functions_send(
    emitted: set[tuple[str, str]],
) -> None:
    shown = {
        (metric.of, metric.name)
        for widget in widgets(TEMPLATE)
        for metric in widget.metrics
        if metric.namespace.startswith(OURS)
    }
    assert shown == emitted


def test_alarms_watch_what_the_functions_send(emitted: set[tuple[str, str]]) -> None:
    watched = [one.metric for one in alarms(TEMPLATE).values()]
    ours = {(one.of, one.name) for one in watched if one.namespace.startswith(OURS)}
    assert ours
    assert ours <= emitted
    assert {one.dimension for one in watched if one.namespace.startswith(OURS)} == {"service"}


def test_a_scheduled_run_that_fails_is_counted(
    stack: Stack, reconcile: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise Unavailable("S3 is down")

    monkeypatch.setattr(reconcile, "start_once", fail)
    with pytest.raises(Unavailable):
        stack.invoke(reconcile, {})
    assert stack.metrics == {"ReconcileFailures": [1]}
