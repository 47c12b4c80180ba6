"""What servers are taken for, and that nothing comes of it but the finding."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError

from sluice.admin.session.conditional_write_probe import ConditionalWriteProbe
from sluice.errors import Unavailable, Unsupported
from sluice.storage.conditional_writes import ConditionalWrites, IfMatchForm
from sluice.storage.s3_client import Endpoint, S3Client, Send, make_s3_client
from sluice.storage.s3_store import S3Store
from testkit.s3_server.kinds import KINDS, UNUSABLE, USABLE, client_of, with_request_hook
from testkit.s3_server.process import S3Server
from tests.support.scripted_aws import Answer, error, respond

BUCKET = "trials"
PLACE = f"the bucket {BUCKET} at http://s3"


@pytest.fixture(scope="module", autouse=True)
def _bucket(running: Mapping[str, S3Server]) -> None:
    for server in running.values():
        server.create(BUCKET)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


def probe_of(client: S3Client) -> ConditionalWriteProbe:
    numbers = count()
    return ConditionalWriteProbe(S3Store(client, BUCKET), PLACE, lambda: f"trial-{next(numbers)}")


def left(client: S3Client) -> list[str]:
    return [info.key for info in S3Store(client, BUCKET).list("")]


# --- what is found ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", USABLE)
def test_a_server_is_taken_for_what_it_is_each_time(
    running: Mapping[str, S3Server], kind: str
) -> None:
    client = client_of(running[kind])
    assert [probe_of(client).probe_all() for _ in range(3)] == [USABLE[kind].expected] * 3
    assert left(client) == []


@pytest.mark.parametrize("kind", USABLE)
def test_whether_a_server_verifies_checksums_is_found_out_each_time(
    running: Mapping[str, S3Server], kind: str
) -> None:
    client = client_of(running[kind])
    expected = USABLE[kind].verifies_checksums
    assert [probe_of(client).verifies_checksums() for _ in range(3)] == [expected] * 3
    assert left(client) == []


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_server_without_conditional_writes_is_refused_each_time(
    running: Mapping[str, S3Server], kind: str
) -> None:
    client = client_of(running[kind])
    for _ in range(3):
        with pytest.raises(Unsupported, match=f"^{PLACE} cannot be used: .*{KINDS[kind].refusal}"):
            probe_of(client).probe_all()
    assert left(client) == []


@pytest.mark.usefixtures("moto")
def test_moto_completes_uploads_whatever_their_condition() -> None:
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=BUCKET)
    client = make_s3_client(Endpoint("us-east-1"))
    findings = [probe_of(client).probe_all() for _ in range(3)]
    assert findings == [ConditionalWrites(completion_is_conditional=False)] * 3


def test_what_is_tried_each_time_takes_seven_requests(running: Mapping[str, S3Server]) -> None:
    server = running["as-aws"]
    server.take()
    assert probe_of(client_of(server)).if_match_form() is IfMatchForm.QUOTED
    counts = {name: count.requests for name, count in server.take().counts.items()}
    assert counts == {
        "s3:HeadBucket": 1,
        "s3:PutObject": 4,
        "s3:GetObject": 1,
        "s3:DeleteObjects": 1,
    }


# --- answers that are lost --------------------------------------------------------------------


class LosingAnswers:
    """Sends every request, and hands on no answer to some."""

    def __init__(self, lost: range) -> None:
        self.sent = 0
        self._lost = lost

    def __call__(self, request: AWSPreparedRequest, send: Send) -> AWSResponse:
        answer = send(request)
        self.sent += 1
        if self.sent - 1 in self._lost:
            raise ConnectionClosedError(endpoint_url=request.url)
        return answer


@pytest.mark.parametrize("kind", KINDS)
def test_one_answer_that_is_lost_changes_no_finding(
    running: Mapping[str, S3Server], kind: str
) -> None:
    """A write that is sent again meets itself, as 412 or as an upload that is gone."""
    lost = 0
    while True:
        losing = LosingAnswers(range(lost, lost + 1))
        client = with_request_hook(client_of(running[kind]), losing)
        if USABLE.get(kind):
            assert probe_of(client).probe_all() == USABLE[kind].expected, lost
        else:
            with pytest.raises(Unsupported, match=UNUSABLE[kind].refusal):
                probe_of(client).probe_all()
        if losing.sent <= lost:
            break
        lost += 1
    assert lost >= 3
    assert left(client_of(running[kind])) == []


@pytest.mark.parametrize("kind", ["as-aws", "checksums-ignored"])
@pytest.mark.parametrize("silent_for", [1, 10_000])
def test_checksums_are_never_misjudged_where_answers_are_lost(
    running: Mapping[str, S3Server], kind: str, silent_for: int
) -> None:
    finding, silent_from = None, 0
    while finding is None or silent_from < 5:
        losing = LosingAnswers(range(silent_from, silent_from + silent_for))
        client = with_request_hook(client_of(running[kind]), losing)
        try:
            finding = probe_of(client).verifies_checksums()
        except Unavailable as unavailable:
            assert f"in {PLACE}" in str(unavailable)  # noqa: PT017
        else:
            assert finding == USABLE[kind].verifies_checksums
        silent_from += 1
        _delete_all(client_of(running[kind]))


@pytest.mark.parametrize("status", [403, 500, 503])
def test_an_error_that_has_nothing_to_do_with_checksums_is_no_finding(
    running: Mapping[str, S3Server], status: int
) -> None:
    client = answering(running, error(status, "Other"), method="PUT")
    with pytest.raises(Unavailable, match=f"PutObject s3://trials/trial-0: status {status} Other"):
        probe_of(client).verifies_checksums()


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_falls_silent_is_never_misjudged(
    running: Mapping[str, S3Server], kind: str
) -> None:
    """It does what it is asked for, but nobody learns of it from some request on."""
    finding, silent_from = None, 0
    while finding is None:
        losing = LosingAnswers(range(silent_from, 10_000))
        client = with_request_hook(client_of(running[kind]), losing)
        try:
            finding = probe_of(client).probe_all()
        except Unavailable as unavailable:
            assert f"was testing conditional writes in {PLACE}" in str(unavailable)  # noqa: PT017
        except Unsupported:
            assert kind in UNUSABLE
            break
        silent_from += 1
        _delete_all(client_of(running[kind]))
    assert finding == KINDS[kind].expected


def _delete_all(client: S3Client) -> None:
    S3Store(client, BUCKET).delete(left(client))


# --- other reasons ----------------------------------------------------------------------------


def answering(running: Mapping[str, S3Server], answer: Answer, *, method: str = "") -> S3Client:
    """A client of a sound server that gets this answer to requests of one method, or to all."""

    def hook(request: AWSPreparedRequest, send: Send) -> AWSResponse:
        matches = not method or (request.method or "") == method
        return respond(answer, request) if matches else send(request)

    return with_request_hook(client_of(running["as-aws"]), hook)


def test_missing_rights_are_no_finding_and_are_named(running: Mapping[str, S3Server]) -> None:
    client = answering(running, error(403, "AccessDenied"))
    with pytest.raises(Unavailable) as raised:
        probe_of(client).probe_all()
    assert str(raised.value) == (
        "PutObject s3://trials/trial-0: status 403 AccessDenied Forbidden; the credentials need "
        f"the permission s3:PutObject (endpoint {client.url}) (the trial needs s3:PutObject, "
        "s3:GetObject and s3:DeleteObject). "
        f"sluice was testing conditional writes in {PLACE}. The channel was not changed"
    )


def test_a_wrong_secret_is_no_finding_and_not_taken_for_missing_rights(
    running: Mapping[str, S3Server],
) -> None:
    client = answering(running, error(403, "SignatureDoesNotMatch"))
    with pytest.raises(
        Unavailable, match=r"SignatureDoesNotMatch Forbidden; .*\. sluice was testing"
    ):
        probe_of(client).probe_all()


def test_a_bucket_that_is_missing_is_no_finding(running: Mapping[str, S3Server]) -> None:
    """And no write is tried that would create it, as SeaweedFS does."""
    server = running["as-aws"]
    server.drop(BUCKET)
    server.take()
    with pytest.raises(Unavailable, match=f"^HeadBucket of {PLACE}: the bucket does not exist"):
        probe_of(client_of(server)).probe_all()
    assert server.take().counts.keys() == {"s3:HeadBucket"}
    server.create(BUCKET)


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_fails_is_no_finding(running: Mapping[str, S3Server], status: int) -> None:
    client = answering(running, error(status, "SlowDown"), method="PUT")
    with pytest.raises(
        Unavailable, match=f"PutObject s3://trials/trial-0: status {status} SlowDown"
    ):
        probe_of(client).probe_all()


def test_what_cannot_be_deleted_is_told(running: Mapping[str, S3Server]) -> None:
    client = answering(running, error(403, "AccessDenied"), method="POST")
    with pytest.raises(
        Unavailable, match="DeleteObjects s3://trials/trial-0: status 403 AccessDenied"
    ):
        probe_of(client).if_match_form()
    _delete_all(client_of(running["as-aws"]))


def test_a_server_without_uploads_in_parts_can_be_used(running: Mapping[str, S3Server]) -> None:
    def hook(request: AWSPreparedRequest, send: Send) -> AWSResponse:
        if "uploads" in request.url:
            return respond(error(501, "NotImplemented"), request)
        return send(request)

    client = with_request_hook(client_of(running["as-aws"]), hook)
    assert probe_of(client).probe_all() == ConditionalWrites(completion_is_conditional=False)


def test_a_server_that_drops_metadata_is_refused(running: Mapping[str, S3Server]) -> None:
    def hook(request: AWSPreparedRequest, send: Send) -> AWSResponse:
        if "x-amz-meta-sluice-probe" in request.headers:
            del request.headers["x-amz-meta-sluice-probe"]
        return send(request)

    client = with_request_hook(client_of(running["as-aws"]), hook)
    with pytest.raises(
        Unsupported, match="it returned another body or other metadata than were written"
    ):
        probe_of(client).probe_all()
    assert left(client_of(running["as-aws"])) == []
