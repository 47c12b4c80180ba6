from __future__ import annotations

from pathlib import Path

import boto3
import pytest

from sluice.admin.session.address import Address
from sluice.admin.session.aws import Aws
from sluice.admin.session.connect import Opener, open_channel
from sluice.admin.session.stack import Stack
from sluice.errors import Misconfigured, Misused, NotFound
from sluice.layout import Subdir
from sluice.storage.object_headers import PRIVATE_JSON_HEADERS
from tests.support.fake_stack import (
    CHANNEL_BUCKET,
    REGION,
    STATE_BUCKET,
    FakeCloudFormation,
    outputs_of,
    with_clients,
)

TEAM = Address.parse(f"s3://{CHANNEL_BUCKET}/team")


@pytest.fixture(autouse=True)
def _no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.fixture
def aws(moto: None) -> Aws:
    assert moto is None
    s3 = boto3.client("s3", region_name=REGION)
    for bucket in (CHANNEL_BUCKET, STATE_BUCKET):
        s3.create_bucket(Bucket=bucket)
    outputs = outputs_of({"MergeQueueUrl": "https://sqs/merge.fifo"})
    return with_clients(Aws(), cloudformation=FakeCloudFormation("mine", outputs))


def test_a_channel_is_opened_by_its_state(aws: Aws) -> None:
    assert aws.region is None
    channel = open_channel(f"s3://{CHANNEL_BUCKET}/team", state=STATE_BUCKET)
    channel.state.put("k", b"body", PRIVATE_JSON_HEADERS)
    found = channel.state.get("k")
    assert found
    assert found.body == b"body"
    assert channel.public.head("k") is None
    assert (channel.bucket, channel.name, channel.owner) == (CHANNEL_BUCKET, "team", STATE_BUCKET)
    assert (channel.stack, channel.merges) == (None, None)


@pytest.mark.parametrize("state", [f"s3://{STATE_BUCKET}/a/folder", f"{STATE_BUCKET}/a/folder/"])
def test_the_state_may_be_a_folder(aws: Aws, state: str) -> None:
    channel = Opener(aws, state=state).channel(TEAM)
    assert channel.owner == f"{STATE_BUCKET}/a/folder"
    assert not channel.shares_bucket
    channel.state.put("key", b"body", PRIVATE_JSON_HEADERS)
    stored = aws.bucket(STATE_BUCKET).get("a/folder/key")
    assert stored
    assert stored.body == b"body"
    assert [info.key for info in channel.state.list("")] == ["key"]


def test_a_state_in_the_channels_bucket_shares_it(aws: Aws) -> None:
    assert Opener(aws, state=f"s3://{CHANNEL_BUCKET}/.sluice").channel(TEAM).shares_bucket


def test_the_state_is_told_by_the_stack(aws: Aws) -> None:
    channel = Opener(aws, stack="mine").channel(TEAM)
    assert channel.owner == STATE_BUCKET
    assert channel.debounce_seconds == 10
    assert channel.defaults.rss
    assert channel.merges
    assert channel.stack
    assert channel.stack.name == "mine"


@pytest.mark.parametrize(
    ("variable", "value"), [("SLUICE_STACK", "mine"), ("SLUICE_STATE", STATE_BUCKET)]
)
def test_variables_stand_in_for_what_is_not_said(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert Opener(aws).channel(TEAM).owner == STATE_BUCKET


def test_what_is_said_comes_before_the_variables(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_STACK", "theirs")
    assert Opener(aws, state="another").channel(TEAM).owner == "another"
    monkeypatch.setenv("SLUICE_STATE", "another")
    assert Opener(aws, stack="mine").channel(TEAM).owner == STATE_BUCKET


def test_without_a_state_it_is_said_what_to_give(aws: Aws) -> None:
    with pytest.raises(Misused, match=r"--stack, or SLUICE_STACK.*--state, or SLUICE_STATE"):
        Opener(aws).channel(TEAM)


def test_a_stack_of_another_bucket_is_refused(aws: Aws) -> None:
    with pytest.raises(Misused, match="the stack 'mine' indexes the bucket channels, not other"):
        Opener(aws, stack="mine").channel(Address("other", "team"))


def test_a_state_that_is_not_the_stacks_is_refused(aws: Aws) -> None:
    with pytest.raises(Misused, match="the state bucket of the stack 'mine' is state"):
        Opener(aws, stack="mine", state="other").channel(TEAM)


def test_a_stack_that_is_not_there_is_named(aws: Aws) -> None:
    with pytest.raises(NotFound, match="there is no stack 'yours' in us-east-1"):
        Opener(aws, stack="yours").channel(TEAM)


def test_a_stack_of_something_else_is_told_from_one_of_sluice() -> None:
    other = Stack(aws=Aws(), name="web", outputs={}, parameters={})
    with pytest.raises(Misconfigured, match="'web' has no output StateBucketName"):
        _ = other.state_bucket


def test_a_subdir_must_be_there(aws: Aws) -> None:
    opener = Opener(aws, state=STATE_BUCKET)
    address = Address(CHANNEL_BUCKET, "team/linux-64")
    with pytest.raises(NotFound, match="has not indexed the subdir s3://channels/team/linux-64"):
        opener.subdir(address)
    aws.bucket(STATE_BUCKET).put(Subdir("team", "linux-64").head_key, b"{}", PRIVATE_JSON_HEADERS)
    channel, subdir = opener.subdir(address)
    assert (channel.name, subdir) == ("team", Subdir("team", "linux-64"))


def test_a_channel_that_is_called_like_a_subdir_is_a_channel(aws: Aws) -> None:
    opener = Opener(aws, state=STATE_BUCKET)
    address = Address(CHANNEL_BUCKET, "conda-forge")
    channel, subdir = opener.channel_or_subdir(address)
    assert (channel.name, subdir) == ("conda-forge", None)
    aws.bucket(STATE_BUCKET).put(Subdir("", "conda-forge").head_key, b"{}", PRIVATE_JSON_HEADERS)
    channel, subdir = opener.channel_or_subdir(address)
    assert (channel.name, subdir) == ("", Subdir("", "conda-forge"))
