"""What ``S3Store`` makes of the answers that no emulator gives; the rest is in tests/store."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from email.utils import formatdate
from hashlib import sha256
from itertools import repeat

import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from urllib3 import HTTPSConnectionPool
from urllib3.exceptions import ProtocolError, SSLError
from urllib3.exceptions import ReadTimeoutError as URLLib3ReadTimeoutError

from sluice.errors import Archived, Changed, TooLate, Unavailable, Unsupported
from sluice.limits import ATTEMPTS_MAX
from sluice.storage.conditional_writes import AWS_CONDITIONAL_WRITES, ConditionalWrites, IfMatchForm
from sluice.storage.object_store import ETag, ObjectHeaders, ObjectInfo
from sluice.storage.s3_client import S3Request, make_s3_client
from sluice.storage.s3_store import S3Store
from tests.support.scripted_aws import Answer, Script, error

JSON = ObjectHeaders("application/json")
ETAG = ETag('"f97c5d29941bfb1b2fdab0874906ab82"')
URL = "https://channel.s3.amazonaws.com/k"
POOL = HTTPSConnectionPool("channel.s3.amazonaws.com")
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
FOUND = {"ETag": ETAG, "Last-Modified": DATE}

UNANSWERED = [
    pytest.param(ConnectionClosedError(endpoint_url=URL), id="closed"),
    pytest.param(EndpointConnectionError(endpoint_url=URL), id="unreachable"),
    pytest.param(ReadTimeoutError(endpoint_url=URL), id="timeout"),
    pytest.param(error(500, "InternalError"), id="500"),
    pytest.param(error(503, "SlowDown"), id="503"),
]
REFUSED = [
    pytest.param(error(403, "AccessDenied"), id="denied"),
    pytest.param(error(404, "NoSuchBucket"), id="no-such-bucket"),
    pytest.param(error(400, "InvalidRequest"), id="invalid"),
]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


def scripted(
    *answers: Answer | Exception, writes: ConditionalWrites = AWS_CONDITIONAL_WRITES
) -> tuple[S3Store, Script]:
    script = Script(*answers)
    client = make_s3_client()
    script.attach(client)
    return S3Store(client, "channel", lambda: writes), script


OPERATIONS: list[tuple[str, Callable[[S3Store], object]]] = [
    ("HeadObject", lambda store: store.head("k")),
    ("GetObject", lambda store: store.get("k")),
    ("GetObject", lambda store: store.read_range("k", 0, 1, if_match=ETAG)),
    ("GetObject", lambda store: store.get_range("k", 0, 1)),
    ("PutObject", lambda store: store.put("k", b"x", JSON)),
    ("DeleteObjects", lambda store: store.delete(["k"])),
    ("ListObjectsV2", lambda store: list(store.list("k"))),
]
READS = OPERATIONS[1:4]
each_operation = pytest.mark.parametrize(("name", "call"), OPERATIONS)


# --- failures ---------------------------------------------------------------------------------


@each_operation
@pytest.mark.parametrize("failure", UNANSWERED)
def test_what_stays_unanswered_is_unavailable_and_says_where(
    name: str, call: Callable[[S3Store], object], failure: Answer | Exception
) -> None:
    store, script = scripted(*repeat(failure, ATTEMPTS_MAX))
    with pytest.raises(Unavailable, match=f"{name} s3://channel/k: "):
        call(store)
    assert script.exhausted


@each_operation
@pytest.mark.parametrize("refusal", REFUSED[:2])
def test_what_is_refused_is_unavailable_and_never_absent(
    name: str, call: Callable[[S3Store], object], refusal: Answer
) -> None:
    # The answer to a HEAD has no body: what is missing is asked for with a GET.
    answers = [Answer(refusal.status), refusal] if name == "HeadObject" else [refusal]
    store, _ = scripted(*answers)
    with pytest.raises(Unavailable, match=r"^\w+ s3://channel/k: "):
        call(store)


@each_operation
def test_one_lost_answer_is_made_up_for(name: str, call: Callable[[S3Store], object]) -> None:
    success = {
        "HeadObject": Answer(headers=FOUND | {"Content-Length": "3"}),
        "GetObject": Answer(206, FOUND, b"x"),
        "DeleteObjects": Answer(body=b"<DeleteResult/>"),
        "ListObjectsV2": Answer(body=b"<ListBucketResult/>"),
    }
    store, script = scripted(
        ConnectionClosedError(endpoint_url=URL), success.get(name, Answer(headers=FOUND))
    )
    call(store)
    assert script.exhausted


@pytest.mark.parametrize(("name", "call"), OPERATIONS[-2:])
def test_a_garbled_document_is_unavailable(name: str, call: Callable[[S3Store], object]) -> None:
    store, script = scripted(*repeat(Answer(body=b"<ListBucketResult><Conte"), ATTEMPTS_MAX))
    with pytest.raises(Unavailable, match=f"{name} s3://channel/k: "):
        call(store)
    assert script.exhausted


# --- absence ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "exists"), [(200, True), (404, False), (403, True)])
def test_a_bucket_is_missing_only_where_s3_says_so(status: int, *, exists: bool) -> None:
    """Who may not list it, is told 403."""
    store, _ = scripted(Answer(status))
    assert store.bucket_exists() == exists


@pytest.mark.parametrize("failure", UNANSWERED)
def test_a_bucket_that_nothing_is_known_of_is_unavailable(failure: Answer | Exception) -> None:
    store, script = scripted(*repeat(failure, ATTEMPTS_MAX))
    with pytest.raises(Unavailable, match=r"^HeadBucket s3://channel/: "):
        store.bucket_exists()
    assert script.exhausted


def test_a_bucket_is_asked_for_only_once() -> None:
    store, script = scripted(Answer(404), error(404, "NoSuchKey"), Answer(404))
    assert store.head("k") is None
    assert store.head("k") is None
    assert [request.method for request in script.requests] == ["HEAD", "GET", "HEAD"]


def test_an_object_that_comes_between_head_and_get_is_described() -> None:
    store, _ = scripted(Answer(404), Answer(headers=FOUND, body=b"abc"))
    info = store.head("k")
    assert info is not None
    assert info.size == 3


# --- describing -------------------------------------------------------------------------------


def test_head_hands_on_everything_that_s3_says() -> None:
    digest = sha256(b"abc").digest()
    store, script = scripted(
        Answer(
            headers=FOUND
            | {
                "Content-Length": "3",
                "x-amz-meta-Package-SHA256": "ab",
                "x-amz-checksum-sha256": b64encode(digest).decode(),
                "x-amz-checksum-type": "FULL_OBJECT",
                "x-amz-server-side-encryption": "aws:kms",
            }
        )
    )
    assert store.head("k") == ObjectInfo(
        key="k",
        etag=ETAG,
        size=3,
        modified=1_700_000_000,
        metadata={"package-sha256": "ab"},
        sha256=digest.hex(),
        encryption="aws:kms",
    )
    assert script.requests[0].headers["x-amz-checksum-mode"] == "ENABLED"


@pytest.mark.parametrize("kind", ["COMPOSITE", None])
@pytest.mark.parametrize("suffix", ["", "-2"])
def test_a_sha256_that_is_not_known_to_be_of_the_whole_object_is_not_believed(
    kind: str | None, suffix: str
) -> None:
    headers = FOUND | {"x-amz-checksum-sha256": b64encode(bytes(32)).decode() + suffix}
    if kind is not None:
        headers["x-amz-checksum-type"] = kind
    store, _ = scripted(Answer(headers=headers))
    info = store.head("k")
    assert info is not None
    assert info.sha256 is None


# --- reading ----------------------------------------------------------------------------------


def test_a_body_that_does_not_match_its_checksum_is_unavailable() -> None:
    store, _ = scripted(Answer(headers=FOUND | {"x-amz-checksum-crc32": "AAAAAA=="}, body=b"abc"))
    with pytest.raises(Unavailable, match="GetObject s3://channel/k: "):
        store.get("k")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(206, FOUND, b"abc", breaks=ProtocolError("Connection broken")),
        Answer(206, FOUND, b"abc", breaks=URLLib3ReadTimeoutError(POOL, URL, "Read timed out.")),
        Answer(206, FOUND, b"abc", breaks=SSLError("decryption failed")),
        Answer(206, FOUND | {"Content-Length": "9"}, b"abc"),
    ],
    ids=["broken", "timeout", "tls", "cut"],
)
def test_a_stream_that_ends_early_is_unavailable(answer: Answer) -> None:
    store, _ = scripted(answer, answer)
    with pytest.raises(Unavailable, match="GetObject s3://channel/k: "):
        store.get("k")
    with pytest.raises(Unavailable, match="GetObject s3://channel/k: "):
        store.read_range("k", 0, int(answer.headers.get("Content-Length", 3)), if_match=ETAG)
    store, _ = scripted(answer)
    with pytest.raises(Unavailable, match="GetObject s3://channel/k: "):
        store.get_range("k", 0, 9)


def test_an_error_of_the_reader_is_not_taken_for_one_of_s3() -> None:
    store, _ = scripted(Answer(headers=FOUND, body=b"abc"))
    with pytest.raises(ZeroDivisionError), store.open("k"):
        _ = 1 / 0


def test_a_server_that_ignores_the_range_is_not_read() -> None:
    store, _ = scripted(Answer(200, FOUND, b"the whole object", breaks=AssertionError("read")))
    with pytest.raises(Unavailable, match="asked for 3 bytes from 4, was offered 16"):
        store.read_range("k", 4, 3, if_match=ETAG)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, FOUND, b"the whole object", breaks=AssertionError("read")),
        Answer(206, FOUND, b"more than that", breaks=AssertionError("read")),
        error(416, "InvalidRange"),
    ],
    ids=["ignored", "longer", "behind the end"],
)
def test_a_range_of_an_immutable_object_that_is_not_served_is_empty(answer: Answer) -> None:
    store, _ = scripted(answer)
    assert store.get_range("k", 4, 3) == b""


def test_a_range_of_an_immutable_object_is_asked_for_once_and_without_condition() -> None:
    store, script = scripted(Answer(206, FOUND, b"456"))
    assert store.get_range("k", 4, 3) == b"456"
    (request,) = script.requests
    assert request.headers["Range"] == "bytes=4-6"
    assert "If-Match" not in request.headers


def test_a_range_is_asked_for_once_and_under_the_condition() -> None:
    store, script = scripted(Answer(206, FOUND, b"456"))
    assert store.read_range("k", 4, 3, if_match=ETAG) == b"456"
    (request,) = script.requests
    assert request.headers["Range"] == "bytes=4-6"
    assert request.headers["If-Match"] == ETAG
    assert "x-amz-checksum-mode" not in request.headers  # it would be of the whole object


@pytest.mark.parametrize(("_name", "call"), READS)
def test_an_archived_object_is_archived_though_s3_says_403(
    _name: str, call: Callable[[S3Store], object]
) -> None:
    store, _ = scripted(error(403, "InvalidObjectState"))
    with pytest.raises(Archived, match="s3://channel/k"):
        call(store)


@pytest.mark.parametrize(
    "answer", [error(412, "PreconditionFailed"), error(404, "NoSuchKey")], ids=["other", "gone"]
)
def test_under_a_condition_an_object_that_is_not_the_same_has_changed(answer: Answer) -> None:
    store, _ = scripted(answer, answer)
    with pytest.raises(Changed, match="s3://channel/k"):
        store.read_range("k", 0, 1, if_match=ETAG)
    with pytest.raises(Changed, match="s3://channel/k"), store.open("k", if_match=ETAG):
        pass


# --- writing under a condition ----------------------------------------------------------------


@pytest.mark.parametrize("expected", [None, ETAG], ids=["over-nothing", "over-a-version"])
@pytest.mark.parametrize(
    "answer",
    [
        error(412, "PreconditionFailed"),
        error(409, "ConditionalRequestConflict"),
        error(409, "OperationAborted"),
    ],
    ids=["412", "409", "409-aborted"],
)
def test_a_write_that_did_not_plainly_succeed_is_not_resent_and_not_known_to_have_landed(
    answer: Answer, expected: ETag | None
) -> None:
    store, script = scripted(answer)
    assert store.put_if("k", b"x", JSON, expected=expected) is None
    assert script.exhausted


def test_over_a_version_that_is_gone_a_write_has_not_landed() -> None:
    store, _ = scripted(error(404, "NoSuchKey"))
    assert store.put_if("k", b"x", JSON, expected=ETAG) is None


@pytest.mark.parametrize("lost", UNANSWERED)
def test_a_write_whose_answer_was_lost_meets_itself_and_does_not_call_that_a_success(
    lost: Answer | Exception,
) -> None:
    """S3 stored it, the answer was lost, botocore sent it again: 412, for its own write."""
    store, script = scripted(lost, error(412, "PreconditionFailed"))
    assert store.put_if("k", b"x", JSON, expected=ETAG) is None
    assert [request.headers["If-Match"] for request in script.requests] == [ETAG] * 2


@pytest.mark.parametrize("failure", UNANSWERED)
def test_a_write_that_is_never_answered_is_not_known_to_have_landed(
    failure: Answer | Exception,
) -> None:
    store, script = scripted(*repeat(failure, ATTEMPTS_MAX))
    assert store.put_if("k", b"x", JSON, expected=None) is None
    assert script.exhausted


@pytest.mark.parametrize("expected", [None, ETAG], ids=["over-nothing", "over-a-version"])
@pytest.mark.parametrize("refusal", REFUSED)
def test_a_write_that_is_refused_is_unavailable(refusal: Answer, expected: ETag | None) -> None:
    store, _ = scripted(refusal)
    with pytest.raises(Unavailable, match="PutObject s3://channel/k: "):
        store.put_if("k", b"x", JSON, expected=expected)


def test_the_conditions_and_headers_of_a_write_reach_s3() -> None:
    store, script = scripted(Answer(headers=FOUND), Answer(headers=FOUND))
    headers = ObjectHeaders("text/plain", "no-cache", {"generation": "7"})
    assert store.put_if("k", b"x", headers, expected=None) == ETAG
    assert store.put_if("k", b"x", headers, expected=ETAG) == ETAG
    over_nothing, over_a_version = (request.headers for request in script.requests)
    assert over_nothing["If-None-Match"] == "*"
    assert "If-Match" not in over_nothing
    assert over_a_version["If-Match"] == ETAG
    assert "If-None-Match" not in over_a_version
    assert over_nothing["Content-Type"] == "text/plain"
    assert over_nothing["Cache-Control"] == "no-cache"
    assert over_nothing["x-amz-meta-generation"] == "7"


def test_a_server_that_wants_bare_etags_gets_them_in_writes_alone() -> None:
    store, script = scripted(
        *(Answer(headers=FOUND), Answer(headers=FOUND), Answer(206, FOUND, b"x")),
        writes=ConditionalWrites(IfMatchForm.BARE),
    )
    assert store.put_if("k", b"x", JSON, expected=ETAG) == ETAG
    assert store.put_if("k", b"x", JSON, expected=None) == ETAG
    assert store.read_range("k", 0, 1, if_match=ETAG) == b"x"
    over_a_version, over_nothing, read = (request.headers for request in script.requests)
    assert over_a_version["If-Match"] == "f97c5d29941bfb1b2fdab0874906ab82"
    assert over_nothing["If-None-Match"] == "*"
    assert read["If-Match"] == ETAG


# --- writing before a deadline ----------------------------------------------------------------

HOUR_MS = 60 * 60 * 1000
DATE_MS = 1_700_000_000_000
"""That is ``DATE``."""


class Sleeper:
    """A process with a clock, which falls asleep for an hour when it is told to."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.now_ms = DATE_MS
        self.client = make_s3_client(clock=lambda: self.now_ms)
        self.script = Script(*answers)
        self.script.attach(self.client)
        self.store = S3Store(self.client, "channel")

    def sleep(self, *_: object) -> None:
        """Wake an hour later."""
        self.now_ms += HOUR_MS

    def put(self, *, deadline_ms: int = HOUR_MS // 2) -> ETag | None:
        """Write a head that may be written for so long from now on."""
        return self.store.put_if(
            "k", b"x", JSON, expected=ETAG, not_after_ms=self.store.now_ms() + deadline_ms
        )


def test_before_its_deadline_a_write_is_sent_and_behind_it_nothing_is() -> None:
    one = Sleeper(Answer(headers=FOUND))
    assert one.put(deadline_ms=0) == ETAG
    with pytest.raises(TooLate, match="PutObject k: its deadline has passed"):
        one.put(deadline_ms=-1)
    assert len(one.script.requests) == 1


def test_the_clock_is_held_against_the_deadline_after_the_request_was_signed() -> None:
    """Who sleeps before the signing is stopped here; who sleeps after it, by S3 (15 minutes)."""
    one = Sleeper()
    signed: list[object] = []
    plain = one.client._sign

    def sign_and_sleep(request: S3Request) -> AWSPreparedRequest:
        signed.append(plain(request))
        one.sleep()
        return plain(request)

    one.client._sign = sign_and_sleep  # type: ignore[method-assign]
    with pytest.raises(TooLate):
        one.put()
    assert len(signed) == 1


@pytest.mark.parametrize(
    "failure", [*UNANSWERED, pytest.param(error(403, "RequestTimeTooSkewed"), id="skewed")]
)
def test_each_try_of_a_write_is_held_against_its_deadline(
    failure: Answer | Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Sleeper(failure)
    monkeypatch.setattr("time.sleep", one.sleep)
    with pytest.raises(TooLate):
        one.put()
    assert len(one.script.requests) == 1


def test_a_prepared_write_is_held_against_its_deadline_when_it_is_completed() -> None:
    one = Sleeper()
    prepared = one.store.prepare_put("k", b"x", JSON, expected=ETAG)
    one.sleep()
    with pytest.raises(TooLate):
        prepared.complete(not_after_ms=DATE_MS + HOUR_MS // 2)


def test_a_clock_that_stood_still_is_put_right_by_the_date_of_an_answer() -> None:
    """A virtual machine was suspended for an hour: the write before tells, in time."""
    late = formatdate((DATE_MS + HOUR_MS) / 1000, usegmt=True)
    one = Sleeper(Answer(headers={"Date": DATE}), Answer(headers={"Date": late}))
    one.store.put("a", b"x", JSON)
    deadline = one.store.now_ms() + HOUR_MS // 2
    one.store.put("b", b"x", JSON)
    assert one.store.now_ms() == DATE_MS + HOUR_MS
    with pytest.raises(TooLate):
        one.store.put_if("k", b"x", JSON, expected=ETAG, not_after_ms=deadline)


def test_a_refusal_tells_the_time_as_well() -> None:
    late = formatdate((DATE_MS + HOUR_MS) / 1000, usegmt=True)
    skewed = Answer(403, {"Date": late}, error(403, "RequestTimeTooSkewed").body)
    one = Sleeper(skewed)
    with pytest.raises(TooLate):
        one.put()
    assert one.script.exhausted


@pytest.mark.parametrize("date", ["", "yesterday", formatdate(0, usegmt=True)])
def test_a_date_that_is_none_or_that_is_past_does_not_turn_the_clock_back(date: str) -> None:
    one = Sleeper(Answer(headers={"Date": date}))
    one.store.put("a", b"x", JSON)
    assert one.store.now_ms() == DATE_MS


# --- writing in parts -------------------------------------------------------------------------

BEGUN = Answer(body=b"<R><UploadId>u</UploadId></R>")
PART = Answer(headers={"ETag": '"part"'})
DONE = Answer(body=b"<R><ETag>&quot;whole-2&quot;</ETag></R>")
GIVEN_UP = Answer(204)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluice.storage.s3_conditional_put.SINGLE_PUT_BYTES_MAX", 4)
    monkeypatch.setattr("sluice.storage.s3_conditional_put.PART_BYTES", 3)
    monkeypatch.setattr("sluice.storage.s3_conditional_put.PARTS_AT_ONCE", 1)


def put_large(store: S3Store, *, expected: ETag | None = ETAG) -> ETag | None:
    return store.put_if(
        "k", b"abcde", ObjectHeaders("text/plain", None, {"a": "b"}), expected=expected
    )


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("expected", [None, ETAG], ids=["over-nothing", "over-a-version"])
def test_what_is_large_is_written_in_parts_and_their_completion_has_the_condition(
    expected: ETag | None,
) -> None:
    store, script = scripted(BEGUN, PART, PART, DONE)
    assert put_large(store, expected=expected) == '"whole-2"'
    begin, one, two, complete = script.requests
    assert begin.headers["Content-Type"] == "text/plain"
    assert begin.headers["x-amz-meta-a"] == "b"
    assert [one.body, two.body] == [b"abc", b"de"]
    assert [request.url.partition("?")[2] for request in (one, two, complete)] == [
        *("partNumber=1&uploadId=u", "partNumber=2&uploadId=u", "uploadId=u")
    ]
    conditions = {name: complete.headers.get(name) for name in ("If-Match", "If-None-Match")}
    assert conditions == {"If-Match": expected, "If-None-Match": None if expected else "*"}
    assert isinstance(complete.body, bytes)
    for request in (one, two):
        assert request.headers["x-amz-checksum-crc32"].encode() in complete.body


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize(
    "answer",
    [
        error(412, "PreconditionFailed"),
        error(409, "ConditionalRequestConflict"),
        error(404, "NoSuchUpload"),
        Answer(body=b"<Error><Code>InternalError</Code></Error>"),
    ],
    ids=["412", "409", "no-upload", "an-error-behind-200"],
)
def test_parts_that_are_not_plainly_completed_are_given_up_and_not_known_to_have_landed(
    answer: Answer,
) -> None:
    store, script = scripted(BEGUN, PART, PART, answer, GIVEN_UP)
    assert put_large(store) is None
    assert script.requests[-1].method == "DELETE"
    assert script.exhausted


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("lost", UNANSWERED)
def test_parts_whose_completion_is_never_answered_are_not_known_to_have_landed(
    lost: Answer | Exception,
) -> None:
    store, script = scripted(BEGUN, PART, PART, *repeat(lost, ATTEMPTS_MAX), GIVEN_UP)
    assert put_large(store) is None
    assert script.exhausted


@pytest.mark.usefixtures("small_parts")
def test_a_prepared_write_has_sent_its_parts_and_not_completed_them() -> None:
    store, script = scripted(BEGUN, PART, PART, DONE)
    prepared = store.prepare_put("k", b"abcde", JSON, expected=ETAG)
    assert len(script.requests) == 3
    assert prepared.complete() == '"whole-2"'
    prepared.abort()
    assert len(script.requests) == 4
    with pytest.raises(ValueError, match="completed once"):
        prepared.complete()


@pytest.mark.usefixtures("small_parts")
def test_parts_are_not_completed_behind_the_deadline_and_are_given_up() -> None:
    one = Sleeper(BEGUN, PART, PART, GIVEN_UP)
    prepared = one.store.prepare_put("k", b"abcde", JSON, expected=ETAG)
    one.sleep()
    with pytest.raises(TooLate, match="CompleteMultipartUpload k"):
        prepared.complete(not_after_ms=DATE_MS + 1)
    assert one.script.requests[-1].method == "DELETE"
    assert one.script.exhausted


@pytest.mark.usefixtures("small_parts")
def test_a_prepared_write_that_is_aborted_gives_its_upload_up() -> None:
    store, script = scripted(BEGUN, PART, PART, GIVEN_UP)
    prepared = store.prepare_put("k", b"abcde", JSON, expected=ETAG)
    prepared.abort()
    prepared.abort()
    assert script.requests[-1].method == "DELETE"
    assert script.exhausted


@pytest.mark.usefixtures("small_parts")
def test_an_upload_whose_parts_are_refused_is_given_up() -> None:
    store, script = scripted(BEGUN, PART, error(403, "AccessDenied"), GIVEN_UP)
    with pytest.raises(Unavailable, match="UploadPart s3://channel/k: status 403 AccessDenied"):
        put_large(store)
    assert script.exhausted


@pytest.mark.usefixtures("small_parts")
def test_an_upload_that_cannot_be_given_up_is_left_to_the_lifecycle_rule() -> None:
    lost = error(412, "PreconditionFailed")
    store, script = scripted(
        BEGUN, PART, PART, lost, *repeat(ConnectionClosedError(endpoint_url=URL), ATTEMPTS_MAX)
    )
    assert put_large(store) is None
    assert script.exhausted


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("answer", [error(403, "AccessDenied"), Answer(body=b"<R/>")])
def test_an_upload_that_cannot_begin_is_unavailable(answer: Answer) -> None:
    store, _ = scripted(answer)
    with pytest.raises(Unavailable, match="CreateMultipartUpload s3://channel/k: "):
        put_large(store)


# --- deleting and listing ---------------------------------------------------------------------


def test_keys_are_deleted_a_thousand_at_a_time() -> None:
    store, script = scripted(*repeat(Answer(body=b"<DeleteResult/>"), 3))
    store.delete([f"k/{number}" for number in range(2001)])
    bodies = [request.body for request in script.requests]
    assert [body.count(b"<Key>") for body in bodies if isinstance(body, bytes)] == [1000, 1000, 1]
    assert all(b"<Quiet>true</Quiet>" in body for body in bodies if isinstance(body, bytes))


def test_keys_that_could_not_be_deleted_are_named() -> None:
    failed = "".join(
        f"<Error><Key>k/{number}</Key><Code>AccessDenied</Code></Error>" for number in range(7)
    )
    store, _ = scripted(Answer(body=f"<DeleteResult>{failed}</DeleteResult>".encode()))
    with pytest.raises(Unavailable) as caught:
        store.delete([f"k/{number}" for number in range(9)])
    assert str(caught.value) == (
        "DeleteObjects s3://channel/k/0, k/1, k/2, k/3, k/4 and 2 more: AccessDenied; the "
        "credentials need the permission s3:DeleteObject"
    )


def page(key: str, *, more: bool) -> Answer:
    return Answer(
        body=f"""<ListBucketResult><EncodingType>url</EncodingType>
        <IsTruncated>{str(more).lower()}</IsTruncated>
        {"<NextContinuationToken>t%2B+</NextContinuationToken>" if more else ""}
        <Contents><Key>{key}</Key><ETag>&quot;ab&quot;</ETag><Size>1</Size>
        <LastModified>2023-11-14T22:13:20.000Z</LastModified></Contents>
        </ListBucketResult>""".encode()
    )


def test_pages_are_fetched_as_they_are_consumed() -> None:
    store, script = scripted(page("k%2B1", more=True), page("k%C3%A9", more=False))
    listing = store.list("k")
    assert script.requests == []
    first = next(listing)
    assert len(script.requests) == 1
    assert first == ObjectInfo("k+1", ETag('"ab"'), 1, 1_700_000_000)
    assert [info.key for info in listing] == ["ké"]
    assert "continuation-token=t%252B%2B" in script.requests[1].url


@pytest.mark.parametrize("url", [None, "https://s3.example.com"])
def test_only_aws_is_asked_in_a_listing_what_is_restored(
    monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    if url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    store, script = scripted(page("k", more=False))
    list(store.list("k"))
    (request,) = script.requests
    asked = request.headers.get("x-amz-optional-object-attributes")
    assert asked == (None if url else "RestoreStatus")


@pytest.mark.parametrize(
    ("headers", "archive"),
    [
        ({}, None),
        ({"x-amz-storage-class": "STANDARD_IA"}, None),
        ({"x-amz-storage-class": "GLACIER_IR"}, None),
        ({"x-amz-storage-class": "GLACIER"}, "GLACIER"),
        ({"x-amz-storage-class": "DEEP_ARCHIVE"}, "DEEP_ARCHIVE"),
        (
            {"x-amz-storage-class": "GLACIER", "x-amz-restore": 'ongoing-request="true"'},
            "GLACIER",
        ),
        (
            {
                "x-amz-storage-class": "GLACIER",
                "x-amz-restore": 'ongoing-request="false", expiry-date="Wed, 30 Dec 2026"',
            },
            None,
        ),
        (
            {
                "x-amz-storage-class": "INTELLIGENT_TIERING",
                "x-amz-archive-status": "DEEP_ARCHIVE_ACCESS",
            },
            "DEEP_ARCHIVE_ACCESS",
        ),
    ],
)
def test_head_tells_whether_an_object_is_archived(
    headers: dict[str, str], archive: str | None
) -> None:
    store, _ = scripted(Answer(headers=FOUND | headers))
    info = store.head("k")
    assert info
    assert info.archive == archive


def test_a_page_that_fails_behind_a_good_one_is_unavailable() -> None:
    store, _ = scripted(page("k1", more=True), error(403, "AccessDenied"))
    listing = store.list("k")
    next(listing)
    with pytest.raises(Unavailable, match="ListObjectsV2 s3://channel/k: "):
        next(listing)


@pytest.mark.usefixtures("small_parts")
def test_a_completion_without_an_etag_is_not_known_to_have_landed() -> None:
    store, script = scripted(BEGUN, PART, PART, Answer(body=b"<R><ETag></ETag></R>"))
    assert put_large(store) is None
    assert script.exhausted


# --- large, where completions are not conditional ---------------------------------------------

IN_ONE = ConditionalWrites(completion_is_conditional=False)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("expected", [None, ETAG], ids=["over-nothing", "over-a-version"])
def test_what_is_large_goes_up_in_one_put_where_completions_are_unconditional(
    expected: ETag | None,
) -> None:
    store, script = scripted(Answer(headers=FOUND), writes=IN_ONE)
    assert put_large(store, expected=expected) == ETAG
    (request,) = script.requests
    assert (request.method, request.body) == ("PUT", b"abcde")
    conditions = {name: request.headers.get(name) for name in ("If-Match", "If-None-Match")}
    assert conditions == {"If-Match": expected, "If-None-Match": None if expected else "*"}
    assert request.headers["x-amz-meta-a"] == "b"


@pytest.mark.usefixtures("small_parts")
def test_a_prepared_write_in_one_request_has_sent_nothing() -> None:
    store, script = scripted(Answer(headers=FOUND), writes=IN_ONE)
    prepared = store.prepare_put("k", b"abcde", JSON, expected=ETAG)
    assert script.requests == []
    assert prepared.complete() == ETAG
    prepared.abort()
    assert len(script.requests) == 1


@pytest.mark.usefixtures("small_parts")
def test_what_no_put_takes_is_refused_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sluice.storage.s3_conditional_put.PUT_BYTES_MAX", 4)
    store, script = scripted(writes=IN_ONE)
    with pytest.raises(Unsupported, match="s3://channel/k cannot be written: it has 5 bytes"):
        store.prepare_put("k", b"abcde", JSON, expected=ETAG)
    assert script.requests == []


def test_a_server_that_cannot_be_used_gets_no_conditional_write() -> None:
    def fail() -> ConditionalWrites:
        raise Unsupported("ignores conditions")

    script = Script(Answer(headers=FOUND))
    client = make_s3_client()
    script.attach(client)
    store = S3Store(client, "channel", fail)
    store.put("k", b"x", JSON)
    with pytest.raises(Unsupported, match="ignores conditions"):
        store.put_if("k", b"x", JSON, expected=None)
    assert len(script.requests) == 1
