"""Both Lambda functions as AWS calls them, with S3 and SQS through moto.

Every sample in ``events/`` goes through its handler as well.
"""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import pytest
from moto import mock_aws

from sluice import s3, sqs, staging
from tests.support.channel import conda
from tests.support.memory_queue import MemoryQueue

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "events"
UPLOAD_QUEUE_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/upload"
BUCKET = "sluice-channel-123456789012-us-east-1"  # the one that events/*.json are about
STATE = "state"
OWNER = "arn:aws:cloudformation:us-east-1:123456789012:stack/sluice/1"
SUBDIR = "demo/noarch"
INDEX = {
    "name": "demo-hello",
    "version": "1.0.0",
    "build": "py_0",
    "build_number": 0,
    "depends": [],
    "subdir": "noarch",
    "noarch": "python",
}
PACKAGE = conda(INDEX)
KEY = f"demo/{PACKAGE.path}"
RECEIVES_MAX = 5

Metrics = dict[str, list[float]]

# Said by powertools on standard error after an invocation that has nothing to count.
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")


@dataclass
class Context:
    """What Lambda hands to a handler beside the event."""

    function_name: str = "function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:function"
    aws_request_id: str = "request"

    def get_remaining_time_in_millis(self) -> int:
        """Plenty."""
        return 900_000


@dataclass
class Stack:
    """Two buckets, a queue, and the functions wired to them by their environment alone."""

    queue_url: str
    s3: Any = field(default_factory=s3.make_client)
    sqs: Any = field(default_factory=sqs.make_client)
    logs: list[dict[str, Any]] = field(default_factory=list)
    metrics: Metrics = field(default_factory=dict)

    def invoke(self, app: ModuleType, event: dict[str, Any]) -> Any:
        """Run a handler and take in what it printed."""
        out = io.StringIO()
        app.logger.handlers[0].setStream(out)  # where standard output was when it was made
        try:
            with redirect_stdout(out):
                return app.handler(event, Context())
        finally:
            for line in map(json.loads, out.getvalue().splitlines()):
                if "_aws" in line:
                    self._take_metrics(line)
                else:
                    self.logs.append(line)

    def _take_metrics(self, line: dict[str, Any]) -> None:
        for group in line["_aws"]["CloudWatchMetrics"]:
            assert group["Namespace"] == "Sluice"
            for metric in group["Metrics"]:
                value = line[metric["Name"]]
                values = value if isinstance(value, list) else [value]
                self.metrics.setdefault(metric["Name"], []).extend(values)

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """List a bucket."""
        answer = self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [found["Key"] for found in answer.get("Contents", [])]

    def read(self, bucket: str, key: str) -> Any:
        """Read a JSON document."""
        return json.loads(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def staged(self) -> list[dict[str, Any]]:
        """Every staging record."""
        return [self.read(STATE, key) for key in self.keys(STATE, "staging/")]

    def receive(self) -> list[dict[str, Any]]:
        """Take messages from the merge queue, as Lambda's records of them."""
        answer = self.sqs.receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        )
        return [
            sqs_record(m["Body"], receipt_handle=m["ReceiptHandle"]) for m in answer["Messages"]
        ]


def load(name: str) -> ModuleType:
    """Import a function's module afresh, as a new execution environment does."""
    spec = importlib.util.spec_from_file_location(
        f"{name}_app", ROOT / "functions" / name / "app.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    with mock_aws():
        client = s3.make_client()
        for bucket in (BUCKET, STATE):
            client.create_bucket(Bucket=bucket)
        url = sqs.make_client().create_queue(
            QueueName="merge.fifo", Attributes={"FifoQueue": "true", "VisibilityTimeout": "900"}
        )["QueueUrl"]
        environment = {
            "CHANNEL_BUCKET": BUCKET,
            "STATE_BUCKET": STATE,
            "MERGE_QUEUE_URL": url,
            "DEBOUNCE_SECONDS": "3",
            "TRUST_UPLOADER_DIGESTS": "true",
            "UPLOAD_QUEUE_URL": UPLOAD_QUEUE_URL,
            "UPLOAD_MAX_RECEIVES": str(RECEIVES_MAX),
            "INDEX_CACHE_MAX_AGE": "60",
            "OWNER": OWNER,
            "POWERTOOLS_SERVICE_NAME": "function",
            "POWERTOOLS_METRICS_NAMESPACE": "Sluice",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield Stack(url)


@pytest.fixture
def upload_queue() -> MemoryQueue:
    """Takes messages back, so that no test takes a failure to do so for the one it is about."""
    return MemoryQueue()


@pytest.fixture
def extract(stack: Stack, upload_queue: MemoryQueue, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    assert stack
    module = load("extract")
    assert module.upload_queue()._url == UPLOAD_QUEUE_URL
    monkeypatch.setattr(module, "upload_queue", lambda: upload_queue)
    return module


@pytest.fixture
def merge(stack: Stack) -> ModuleType:
    assert stack
    return load("merge")


def notification(*keys: str, bucket: str = BUCKET, name: str = "ObjectCreated:Put") -> Any:
    """An S3 notification."""
    return {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": name,
                "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 1}},
            }
            for key in keys
        ]
    }


def sqs_record(
    body: Any, *, received: int = 1, receipt_handle: str = "handle", message_id: str = "m"
) -> dict[str, Any]:
    """A message as the event source mapping hands it over."""
    return {
        "messageId": message_id,
        "receiptHandle": receipt_handle,
        "body": body if isinstance(body, str) else json.dumps(body),
        "attributes": {"ApproximateReceiveCount": str(received)},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:queue",
        "awsRegion": "us-east-1",
    }


def batch(*records: dict[str, Any]) -> dict[str, Any]:
    """A batch of messages."""
    return {"Records": list(records)}


def request(*, not_before: int = 0, channel: str = "demo", subdir: str = "noarch") -> str:
    """The body of a merge request."""
    return json.dumps({"channel": channel, "subdir": subdir, "not_before": not_before})


def upload(stack: Stack, key: str = KEY, body: bytes = PACKAGE.body) -> None:
    """Upload a package."""
    stack.s3.put_object(Bucket=BUCKET, Key=key, Body=body)


DONE: dict[str, Any] = {"batchItemFailures": []}
BACK = {"batchItemFailures": [{"itemIdentifier": "m"}]}


# --- extract --------------------------------------------------------------------------------------


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


def test_the_size_that_an_event_tells_saves_a_request(stack: Stack, extract: ModuleType) -> None:
    upload(stack)
    looks: list[str] = []
    extract.extractor().channel._client.meta.events.register(
        "provide-client-params.s3.*", lambda model, **_: looks.append(model.name)
    )
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
def test_a_filename_is_told_as_it_is_even_where_it_looks_like_a_format(
    stack: Stack, extract: ModuleType, directive: str
) -> None:
    filename = f"demo-1.0-{directive}.conda"
    upload(stack, f"demo/noarch/{filename}")
    stack.invoke(extract, batch(sqs_record(notification(f"demo/noarch/{quote(filename)}"))))
    (line,) = stack.logs
    assert (line["filename"], line["verdict"]) == (filename, "rejected")


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
        notification("demo/readme.conda"),
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
    assert len(stack.staged()) == ("test-event" not in sample.stem)


# --- merge ----------------------------------------------------------------------------------------


def staged_upload(stack: Stack, *keys: str) -> None:
    """Upload and extract."""
    app = load("extract")
    for key in keys or (KEY,):
        upload(stack, key)
    stack.invoke(app, notification(*(keys or (KEY,))))
    stack.receive()
    stack.logs.clear()
    stack.metrics.clear()


def visibility_changes(queue: sqs.SqsQueue) -> list[int]:
    """Collect for how long messages are given back."""
    changes: list[int] = []
    queue._client.meta.events.register(
        "provide-client-params.sqs.ChangeMessageVisibility",
        lambda params, **_: changes.append(params["VisibilityTimeout"]),
    )
    return changes


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
    monkeypatch.setattr(staging, "MERGE_BATCH_RECORDS_MAX", 1)
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
    monkeypatch.setattr(merge, "now_ms", lambda: 1_000_000)
    changes = visibility_changes(merge.queue())
    early = message(stack, request(not_before=1_002_001))
    assert stack.invoke(merge, batch(early)) == BACK
    assert changes == [3]
    assert stack.keys(BUCKET, f"{SUBDIR}/repodata") == []
    assert [line for line in stack.logs if line["level"] == "ERROR"] == []
    monkeypatch.setattr(merge, "now_ms", lambda: 1_002_001)
    assert stack.invoke(merge, batch(early)) == DONE


def test_a_merge_that_fails_comes_back_soon_and_later_each_time(
    stack: Stack, merge: ModuleType
) -> None:
    staged_upload(stack)
    stack.s3.put_object(Bucket=STATE, Key="heads/demo/noarch.json", Body=b"broken")
    changes = visibility_changes(merge.queue())
    record = message(stack, request())
    for received in (1, 3, 99):
        record["attributes"]["ApproximateReceiveCount"] = str(received)
        assert stack.invoke(merge, batch(record)) == BACK
    assert changes == [2, 8, 300]
    errors = [line for line in stack.logs if line["level"] == "ERROR"]
    assert [(line["message"], line["exception_name"], line["subdir"]) for line in errors] == [
        ("the merge will be tried again", "Corrupt", "noarch")
    ] * 3
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
    monkeypatch.setattr(merge, "now_ms", lambda: 2_000_000_000_000)
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
        app.settings()
