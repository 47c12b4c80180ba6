"""A function whose code, layer and variables differ in release hands its messages back."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from botocore.client import BaseClient

from tests.handlers.functions import (
    RECONCILE_QUEUE_URL,
    ROOT,
    UPLOAD_QUEUE_URL,
    Context,
    Stack,
    batch,
    notification,
    sqs_record,
)
from tests.support.template import TEMPLATE, properties

FUNCTIONS = ("extract", "merge", "reconcile")
HANDLER: str = TEMPLATE["Globals"]["Function"]["Handler"]
ENTRY = ROOT / "functions" / "entry.py"
LACKING = {
    "extract": "sluice.extract.metrics.extract_log_line",
    "merge": "sluice.merge.metrics.merge_metrics",
    "reconcile": "sluice.reconcile.handler.start_once",
}
"""What each function imports, and a layer of another release may not have."""
Load = Callable[[str], ModuleType]


@pytest.fixture
def load_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Import a function as Lambda does, from what ``sam build`` makes of it."""

    def load(name: str) -> ModuleType:
        target = f"build-{name.capitalize()}Function"
        make = ["make", "-s", "-C", str(ROOT / "functions"), target]
        subprocess.run([*make, f"ARTIFACTS_DIR={tmp_path}"], check=True)
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.invalidate_caches()
        for module in ("app", "entry"):
            sys.modules.pop(module, None)
        return importlib.import_module(HANDLER.removesuffix(".handler"))

    yield load
    for module in ("app", "entry"):
        sys.modules.pop(module, None)


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Each change of a message's visibility: the queue's name and the seconds."""
    changes: list[tuple[str, int]] = []
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def recorded(client: BaseClient, operation: str, params: dict[str, Any]) -> Any:
        if operation == "ChangeMessageVisibility":
            changes.append((params["QueueUrl"].rpartition("/")[2], params["VisibilityTimeout"]))
        return call(client, operation, params)

    monkeypatch.setattr(BaseClient, "_make_api_call", recorded)
    return changes


def lack(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Take a name out of the layer."""
    monkeypatch.delattr(LACKING[name])


def received(stack: Stack, name: str) -> dict[str, Any]:
    """A message of the function's queue, as its event source mapping has just received it."""
    url = {"extract": UPLOAD_QUEUE_URL, "reconcile": RECONCILE_QUEUE_URL}.get(name, stack.queue_url)
    fifo = {"MessageGroupId": "g", "MessageDeduplicationId": "d"} if "fifo" in url else {}
    stack.sqs.send_message(QueueUrl=url, MessageBody="{}", **fifo)
    (record,) = stack.receive(url)
    name_of_queue = url.rpartition("/")[2]
    return {**record, "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{name_of_queue}"}


@pytest.mark.usefixtures("reconcile")  # it makes the queues
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_meets_a_layer_without_a_name_hands_its_message_back_in_15_s(
    stack: Stack,
    load_entry: Load,
    delays: list[tuple[str, int]],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = received(stack, name)
    lack(monkeypatch, name)
    entry = load_entry(name)
    with pytest.raises(RuntimeError, match="from different releases") as caught:
        entry.handler(batch(record), Context())
    assert isinstance(caught.value.__cause__, ImportError)
    assert LACKING[name].rpartition(".")[2] in str(caught.value)
    assert delays == [(record["eventSourceARN"].rpartition(":")[2], 15)]


@pytest.mark.usefixtures("reconcile")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_so_does_one_that_meets_the_variables_of_another_release(
    stack: Stack,
    load_entry: Load,
    delays: list[tuple[str, int]],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = received(stack, name)
    monkeypatch.delenv("CHANNEL_BUCKET")
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
    with pytest.raises(RuntimeError, match="the environment variable CHANNEL_BUCKET is not set"):
        load_entry(name).handler(batch(record), Context())
    assert [seconds for _, seconds in delays] == [15]


@pytest.mark.usefixtures("reconcile")
def test_every_message_of_a_batch_is_handed_back(
    stack: Stack,
    load_entry: Load,
    delays: list[tuple[str, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    records = [received(stack, "extract") for _ in range(3)]
    lack(monkeypatch, "extract")
    with pytest.raises(RuntimeError):
        load_entry("extract").handler(batch(*records), Context())
    assert [seconds for _, seconds in delays] == [15, 15, 15]


def test_a_release_that_never_comes_right_does_not_use_up_the_tries_at_once(
    stack: Stack, load_entry: Load
) -> None:
    entry = load_entry("extract")
    assert stack
    delays = [entry.delay_seconds(count) for count in range(1, 25)]
    assert delays[:6] == [15, 30, 60, 120, 240, 240]
    assert set(delays[4:]) == {240}
    for queue in ("UploadQueue", "MergeQueue", "ReconcileQueue"):
        assert max(delays) < properties(queue)["VisibilityTimeout"]


@pytest.mark.parametrize("event", [{}, [], notification("demo/noarch/a-1-0.conda"), None])
def test_what_is_no_message_only_fails(
    stack: Stack,
    load_entry: Load,
    delays: list[tuple[str, int]],
    event: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert stack
    lack(monkeypatch, "reconcile")
    with pytest.raises(RuntimeError, match="from different releases"):
        load_entry("reconcile").handler(event, Context())
    assert delays == []


def test_a_queue_that_does_not_answer_takes_nothing_of_the_failure(
    stack: Stack, load_entry: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stack
    lack(monkeypatch, "merge")
    record = sqs_record("{}") | {"eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:merge.fifo"}
    entry = load_entry("merge")
    with pytest.raises(RuntimeError, match="from different releases") as caught:
        entry.handler(batch(record), Context())  # the receipt handle is none of the queue's
    (note,) = caught.value.__notes__
    assert note.startswith("The messages keep their visibility timeout: ")


@pytest.mark.usefixtures("reconcile")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_where_all_is_of_one_release_the_function_itself_is_called(
    load_entry: Load, stack: Stack, name: str
) -> None:
    assert stack
    entry = load_entry(name)
    assert entry.handler is sys.modules["app"].handler


def test_it_imports_nothing_that_the_runtime_does_not_have() -> None:
    imported = set()
    for node in ast.walk(ast.parse(ENTRY.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module))
    assert imported - set(sys.stdlib_module_names) - {"__future__", "collections.abc"} == {"boto3"}
