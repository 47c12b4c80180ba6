"""What was found about a server is kept in the state, used by every command, and put right."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from time import sleep
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from sluice.admin.session.address import Address
from sluice.admin.session.aws import Aws
from sluice.admin.session.channel import Channel
from sluice.admin.session.connect import Opener
from sluice.admin.session.server_capabilities import ProbeRecords, ServerCapabilities
from sluice.admin.standalone.index import index
from sluice.errors import TooNew, Unsupported
from sluice.layout import probe_record_key
from sluice.limits import MIB
from sluice.storage.conditional_writes import ConditionalWrites, IfMatchForm
from sluice.storage.object_headers import PRIVATE_JSON_HEADERS
from sluice.storage.object_store import ETag, ObjectStore
from sluice.storage.s3_client import Send
from testkit.memory_store import MemoryStore
from testkit.s3_server.kinds import (
    UNUSABLE,
    USABLE,
    aws_of,
    client_of,
    with_request_hook,
)
from testkit.s3_server.process import S3Server
from tests.support.standalone_channel import package

OTHERS = ETag('"00000000000000000000000000000000"')
PARTS = bytes(11 * MIB)
"""What goes up in three parts under the limits of ``_low_limits``: S3 takes none below 5 MiB."""


@pytest.fixture
def _low_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sluice.storage.s3_conditional_put.SINGLE_PUT_BYTES_MAX", 10 * MIB)
    monkeypatch.setattr("sluice.storage.part_plan.PART_BYTES", 5 * MIB)


class Place:
    """Two buckets of one server, named after the test, and what is in them."""

    def __init__(self, server: S3Server, bucket: str) -> None:
        self.server = server
        self.bucket, self.state_bucket = bucket, f"{bucket}-state"
        for name in (self.bucket, self.state_bucket):
            server.create(name)

    def open(self, aws: Aws | None = None) -> Channel:
        """The channel as a process opens it that knows nothing yet."""
        opener = Opener(aws or aws_of(self.server), state=self.state_bucket)
        return opener.channel(Address(self.bucket, "team"))

    def upload(self, *names: str) -> None:
        """Put packages there."""
        bodies = [(f"team/{one.path}", one.body) for one in map(package, names)]
        self.server.load([self.bucket], bodies)

    def keys(self, bucket: str) -> list[str]:
        """What lies in a bucket."""
        return [info.key for info in aws_of(self.server).bucket(bucket).list("")]

    def record(self, bucket: str) -> dict[str, Any] | None:
        """What the state says about a bucket, but for the time."""
        key = probe_record_key(self.server.endpoint, bucket)
        stored = aws_of(self.server).bucket(self.state_bucket).get(key)
        if stored is None:
            return None
        found: dict[str, Any] = json.loads(stored.body)
        assert isinstance(found.pop("probed_at"), int)
        return found

    def expected_record(self, bucket: str, kind: str = "as-aws") -> dict[str, Any]:
        """What it should say."""
        writes = USABLE[kind].expected
        assert writes
        return {
            "format": 1,
            "endpoint": self.server.endpoint,
            "bucket": bucket,
            "if_match": writes.if_match.value,
            "completion_is_conditional": writes.completion_is_conditional,
            "verifies_checksums": USABLE[kind].verifies_checksums,
        }

    def write_record(self, bucket: str, **changes: object) -> None:
        """Have the state say something."""
        body = json.dumps({**self.expected_record(bucket), **changes})
        key = probe_record_key(self.server.endpoint, bucket)
        store = aws_of(self.server).bucket(self.state_bucket)
        store.put(key, body.encode(), PRIVATE_JSON_HEADERS)

    def requests(self) -> dict[str, int]:
        """Those since the last call."""
        return {name: count.requests for name, count in self.server.take().counts.items()}


@pytest.fixture
def place(running: Mapping[str, S3Server], request: pytest.FixtureRequest) -> Place:
    """On the server whose kind the test names, else on one that does as AWS."""
    kind = getattr(request.node, "callspec", None)
    name = kind.params.get("kind", "as-aws") if kind else "as-aws"
    bucket = request.node.originalname.removeprefix("test_").replace("_", "-")[:50].strip("-")
    return Place(running[name], bucket)


def content(store: ObjectStore, key: str) -> bytes:
    stored = store.get(key)
    assert stored
    return stored.body


# --- writes -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("_low_limits")
@pytest.mark.parametrize("kind", USABLE)
def test_what_goes_up_in_parts_is_written_over_the_right_version_and_over_no_other(
    place: Place, kind: str
) -> None:
    expect_conditions_to_hold(place, kind, PARTS)


@pytest.mark.parametrize("kind", ["as-aws"])
def test_70_mib_are_written_over_the_right_version_and_over_no_other(
    place: Place, kind: str
) -> None:
    expect_conditions_to_hold(place, kind, bytes(70 * MIB))


def expect_conditions_to_hold(place: Place, kind: str, body: bytes) -> None:
    channel = place.open()
    headers = PRIVATE_JSON_HEADERS
    first = channel.public.put_if("k", body, headers, expected=None)
    # A server whose completions give no ETag does not come so far: there one PUT is used.
    assert first
    assert channel.public.put_if("k", body + b"wrong", headers, expected=OTHERS) is None
    assert channel.public.put_if("k", body + b"again", headers, expected=None) is None
    assert content(channel.public, "k") == body
    second = channel.public.put_if("k", body + b"right", headers, expected=first)
    assert second
    assert channel.public.put_if("k", body + b"stale", headers, expected=first) is None
    assert content(channel.public, "k") == body + b"right"
    in_parts = USABLE[kind].expected == replace(
        USABLE[kind].expected or ConditionalWrites(), completion_is_conditional=True
    )
    assert ("-" in second) == in_parts


@pytest.mark.usefixtures("_low_limits")
@pytest.mark.parametrize("kind", ["completion-without-condition"])
def test_taken_for_aws_such_a_server_overwrites_what_goes_up_in_parts(
    place: Place, kind: str
) -> None:
    """So the test above would see it."""
    place.server.load([place.bucket], [("k", b"old")])
    store = aws_of(place.server).bucket(place.bucket)
    store.put_if("k", PARTS, PRIVATE_JSON_HEADERS, expected=OTHERS)
    assert content(store, "k") == PARTS, kind


@pytest.mark.usefixtures("_low_limits")
@pytest.mark.parametrize("kind", UNUSABLE)
def test_nothing_is_written_under_a_condition_where_the_server_cannot_be_used(
    place: Place, kind: str
) -> None:
    place.server.load([place.bucket], [("k", b"old")])
    for _ in range(3):
        channel = place.open()
        for expected in (OTHERS, None):
            with pytest.raises(Unsupported, match=UNUSABLE[kind].refusal):
                channel.public.put_if("k", PARTS, PRIVATE_JSON_HEADERS, expected=expected)
    assert content(place.open().public, "k") == b"old"
    assert (place.keys(place.bucket), place.keys(place.state_bucket)) == (["k"], [])


# --- indexing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", UNUSABLE)
def test_nothing_is_indexed_on_a_server_that_cannot_be_used(place: Place, kind: str) -> None:
    place.upload("alpha")
    packages = place.keys(place.bucket)

    def delay(request: AWSPreparedRequest, send: Send) -> AWSResponse:
        """Have the channel's bucket still be tried when the state's has been refused."""
        if f"/{place.bucket}/" in request.url:
            sleep(0.02)
        return send(request)

    for _ in range(3):
        slow = aws_of(place.server, with_request_hook(client_of(place.server), delay))
        with pytest.raises(Unsupported, match=UNUSABLE[kind].refusal):
            index(place.open(slow))
    assert (place.keys(place.bucket), place.keys(place.state_bucket)) == (packages, [])


def test_a_server_that_stops_honouring_conditions_is_refused_from_then_on(place: Place) -> None:
    place.upload("alpha")
    index(place.open())
    place.upload("beta")
    before = place.keys(place.bucket), place.keys(place.state_bucket)

    def ignore(request: AWSPreparedRequest, send: Send) -> AWSResponse:
        if "If-Match" in request.headers:
            del request.headers["If-Match"]
        return send(request)

    for _ in range(3):
        with pytest.raises(Unsupported, match="If-Match replaced an object with a different ETag"):
            index(
                place.open(aws_of(place.server, with_request_hook(client_of(place.server), ignore)))
            )
    assert (place.keys(place.bucket), place.keys(place.state_bucket)) == before


# --- the record -------------------------------------------------------------------------------


def test_a_command_that_writes_nothing_leaves_nothing(place: Place) -> None:
    channel = place.open()
    assert channel.probed
    channel.probed.start_check(channel.executor)()
    assert (place.keys(place.bucket), place.keys(place.state_bucket)) == ([], [])


def test_a_state_that_is_named_by_mistake_gets_no_record(place: Place) -> None:
    place.upload("alpha")
    index(place.open())
    before = place.keys(place.bucket)
    wrong = Opener(aws_of(place.server), state=place.bucket).channel(Address(place.bucket, "team"))
    reasons = [failure.reason for failure in index(wrong).failures]
    assert reasons
    assert all("not this state" in reason for reason in reasons)
    assert place.keys(place.bucket) == before


@pytest.mark.parametrize("kind", USABLE)
def test_the_first_command_that_writes_tries_the_server_and_the_next_reads_the_record(
    place: Place, kind: str
) -> None:
    channel = place.open()
    etag = channel.state.put_if("k", b"1", PRIVATE_JSON_HEADERS, expected=None)
    assert place.record(place.state_bucket) == place.expected_record(place.state_bucket, kind)
    assert place.record(place.bucket) is None  # nothing was written there
    place.requests()
    channel = place.open()
    etag = channel.state.put_if("k", b"2", PRIVATE_JSON_HEADERS, expected=etag)
    assert channel.state.put_if("k", b"3", PRIVATE_JSON_HEADERS, expected=etag)
    assert place.requests() == {"s3:GetObject": 1, "s3:PutObject": 2}


def test_indexing_tries_the_states_bucket_each_time_and_the_channels_once(place: Place) -> None:
    place.upload("alpha")
    index(place.open())
    channel = place.open()
    assert channel.probed
    place.requests()
    channel.probed.start_check(channel.executor)()
    assert place.requests() == {
        "s3:HeadBucket": 1,
        "s3:GetObject": 3,
        "s3:PutObject": 4,
        "s3:DeleteObjects": 1,
    }


def test_one_bucket_for_both_is_tried_and_recorded_once(place: Place) -> None:
    place.upload("alpha")
    opener = Opener(aws_of(place.server), state=f"{place.bucket}/.sluice")
    channel = opener.channel(Address(place.bucket, "team"))
    assert channel.probed
    assert channel.probed.state is channel.probed.public
    assert index(channel).failures == []
    probes = [key for key in place.keys(place.bucket) if "probe" in key]
    assert probes == [f".sluice/{probe_record_key(place.server.endpoint, place.bucket)}"]


@pytest.mark.parametrize("kind", ["as-ceph"])
def test_a_record_of_another_server_is_put_right_by_indexing(place: Place, kind: str) -> None:
    """As it stands after the server behind an endpoint was replaced."""
    place.upload("alpha")
    for bucket in (place.bucket, place.state_bucket):
        place.write_record(bucket)
    assert index(place.open()).failures == []
    for bucket in (place.bucket, place.state_bucket):
        assert place.record(bucket) == place.expected_record(bucket, kind)


@pytest.mark.parametrize("changes", [{"if_match": "weak"}, {"probed_at": "now"}, {"format": None}])
def test_a_damaged_record_is_found_out_and_written_again(
    place: Place, changes: dict[str, object]
) -> None:
    place.write_record(place.state_bucket, **changes)
    place.open().state.put_if("k", b"1", PRIVATE_JSON_HEADERS, expected=None)
    expected = place.expected_record(place.state_bucket)
    assert place.record(place.state_bucket) == expected


def test_a_record_of_a_newer_sluice_is_refused_and_stays(place: Place) -> None:
    place.write_record(place.state_bucket, format=2)
    key = probe_record_key(place.server.endpoint, place.state_bucket)
    with pytest.raises(TooNew, match=f"{key} has format 2, but this version .* up to 1"):
        place.open().state.put_if("k", b"1", PRIVATE_JSON_HEADERS, expected=None)
    with pytest.raises(TooNew):
        index(place.open())
    assert place.keys(place.state_bucket) == [key]


@pytest.mark.parametrize("kind", ["as-ceph"])
def test_a_snapshot_in_another_bucket_finds_out_about_that_one(place: Place, kind: str) -> None:
    place.server.create("elsewhere")
    opener = Opener(aws_of(place.server), state=place.state_bucket)
    channel = opener.channel(Address(place.bucket, "team"))
    into = opener.elsewhere(channel, Address("elsewhere", "then"))
    etag = into.public.put_if("then/k", b"1", PRIVATE_JSON_HEADERS, expected=None)
    assert into.public.put_if("then/k", b"2", PRIVATE_JSON_HEADERS, expected=etag)
    assert place.record("elsewhere") == place.expected_record("elsewhere", kind)
    assert place.keys("elsewhere") == ["then/k"]


@pytest.mark.usefixtures("moto")
def test_aws_is_not_tried() -> None:
    aws = Aws(region="us-east-1")
    channel = Opener(aws, state="state").channel(Address("bucket", "team"))
    assert channel.probed is None
    assert aws.custom_s3_url is None


BARE = ConditionalWrites(IfMatchForm.BARE, completion_is_conditional=False)
OF_THE_FIRST_VERSION = (
    b'{"format":1,"endpoint":"http://s3","bucket":"b","if_match":"bare",'
    b'"completion_is_conditional":false,"probed_at":1796023257502}'
)
OF_TODAY = OF_THE_FIRST_VERSION[:-1] + b',"verifies_checksums":true}'
KEY = "probes/8c7690ee912e2a7255c83b73d538c82f74ce78273ba961b38fb3b4a29f61b7f8.json"


def records_in(state: MemoryStore) -> ProbeRecords:
    return ProbeRecords(state, "http://s3", "b", lambda: 1_796_023_257_502)


def test_a_record_is_written_where_the_first_version_wrote_it() -> None:
    state = MemoryStore()
    capabilities = ServerCapabilities(BARE, verifies_checksums=True)
    records_in(state).write(capabilities)
    assert {name: stored.body for name, stored in state.objects.items()} == {KEY: OF_TODAY}
    assert records_in(state).read() == capabilities


def test_a_record_of_the_first_version_is_read() -> None:
    state = MemoryStore()
    state.upload(KEY, OF_THE_FIRST_VERSION)
    assert records_in(state).read() == ServerCapabilities(BARE, verifies_checksums=None)


@pytest.mark.parametrize("kind", ["as-aws", "checksums-ignored"])
def test_what_a_record_of_the_first_version_lacks_is_tried_and_added(
    place: Place, kind: str
) -> None:
    place.upload("alpha")
    for bucket in (place.bucket, place.state_bucket):
        place.write_record(bucket, verifies_checksums=None)
    assert index(place.open()).failures == []
    for bucket in (place.bucket, place.state_bucket):
        assert place.record(bucket) == place.expected_record(bucket, kind)
    place.write_record(place.state_bucket, verifies_checksums=None)
    place.open().state.put_if("k", b"1", PRIVATE_JSON_HEADERS, expected=None)
    assert place.record(place.state_bucket) == place.expected_record(place.state_bucket, kind)
