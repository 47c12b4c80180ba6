"""Somebody's bucket: a channel that rattler-index has indexed, among other objects, taken over.

Nothing about the bucket is changed but the switch that lets it tell EventBridge of its objects.
EXISTING_PACKAGES says how many packages, and how many other objects, are in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import clients
from local.emulator import Emulator, run_emulator
from local.stack import deploy
from testkit.channel import Package, conda
from testkit.deployed import Channel, Deployed
from tests.e2e.existing_bucket import switch_eventbridge_on, versions
from tests.e2e.rattler_client import index_with_rattler, install, solve

BUCKET = "somebodys-bucket"
CHANNEL = "Conda/Existing"
PACKAGES = int(os.environ.get("EXISTING_PACKAGES", "150"))
SUBDIRS = ("linux-64", "noarch")
INDEX_FILES = (
    "repodata.json",
    "repodata.json.zst",
    "repodata_shards.msgpack.zst",
    "run_exports.json",
    "run_exports.json.zst",
)


def package(name: str, version: str, subdir: str, **more: Any) -> Package:
    index = {"name": name, "version": version, "build": "h0_0", "build_number": 0, "depends": []}
    return conda({**index, "subdir": subdir, **more})


OLD = [
    package(f"old-{number % 40}", f"1.{number}", SUBDIRS[number % 3 == 0])
    for number in range(PACKAGES)
]
ADDED = package("added", "1.0", "linux-64", depends=["old-0 ==1.0"])
LOOKALIKE = "build-cache/tool-1.0-0.conda"
"""Lies where a package of the bucket's root might lie, and is none."""


@dataclass(frozen=True, slots=True)
class Before:
    """The bucket as it was, without sluice."""

    versions: dict[str, list[tuple[str, str]]]
    indexes: dict[str, Any]
    notifications: Any


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What was there, and what sluice has made of it."""

    before: Before
    channel: Channel
    uploaded: dict[str, dict[str, Any]]
    """The records by subdir, after one upload."""
    first: dict[str, Any]
    """The report of the first reconcile."""
    second: dict[str, Any]


def fill(emulator: Emulator) -> Before:
    s3 = clients.s3(emulator.endpoint, emulator.ca_bundle)
    sqs = clients.sqs(emulator.endpoint, emulator.ca_bundle)
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    url = sqs.create_queue(QueueName="somebodys-queue")["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    notification: Any = {
        "Id": "somebodys",
        "QueueArn": found["Attributes"]["QueueArn"],
        "Events": ["s3:ObjectCreated:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": ".csv"}]}},
    }
    s3.put_bucket_notification_configuration(
        Bucket=BUCKET, NotificationConfiguration={"QueueConfigurations": [notification]}
    )
    for one in OLD:
        s3.put_object(Bucket=BUCKET, Key=f"{CHANNEL}/{one.path}", Body=one.body)
    folders = ("reports/2026/", "Conda/", f"{CHANNEL}/docs/", "")
    for number in range(PACKAGES):
        key = f"{folders[number % len(folders)]}object-{number}.txt"
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"somebody's")
    s3.put_object(Bucket=BUCKET, Key=LOOKALIKE, Body=b"not a package")
    index_with_rattler(emulator.endpoint, f"s3://{BUCKET}/{CHANNEL}")
    indexes = {
        subdir: json.load(
            s3.get_object(Bucket=BUCKET, Key=f"{CHANNEL}/{subdir}/repodata.json")["Body"]
        )
        for subdir in SUBDIRS
    }
    return Before(versions(s3, BUCKET), indexes, [notification])


@pytest.fixture(scope="module")
def taken_over(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TakenOver]:
    home = tmp_path_factory.mktemp("existing")
    with run_emulator(home) as emulator:
        before = fill(emulator)
        switch_eventbridge_on(clients.s3(emulator.endpoint, emulator.ca_bundle), BUCKET)
        stack = deploy(emulator, home, parameters={"ExistingChannelBucketName": BUCKET})
        channel = Channel(Deployed(stack, seconds_max=180 + PACKAGES), CHANNEL)
        channel.upload(ADDED)
        indexes = channel.wait_until_it_holds(*OLD, ADDED)
        first = channel.deployed.reconcile()
        second = channel.deployed.reconcile()
        uploaded = {subdir: index.records for subdir, index in indexes.items()}
        yield TakenOver(before, channel, uploaded, first, second)
        assert channel.deployed.errors() == []


def test_one_upload_adds_one_package_to_the_index_that_was_there(taken_over: TakenOver) -> None:
    records = {subdir: dict(records) for subdir, records in taken_over.uploaded.items()}
    added = records["linux-64"].pop(ADDED.filename)
    assert records == {
        subdir: index["packages.conda"] for subdir, index in taken_over.before.indexes.items()
    }
    assert added["indexed_timestamp"] > max(
        record["indexed_timestamp"] for record in records["linux-64"].values()
    )


def test_every_package_that_was_there_is_read_once_and_keeps_its_place(
    taken_over: TakenOver,
) -> None:
    counts = taken_over.first["counts"]
    assert (counts["outdated"], counts["missing"], counts["changed"]) == (PACKAGES, 1, 0)
    read = taken_over.channel.deployed.lines(
        taken_over.channel.deployed.stack.extract_function, channel=CHANNEL
    )
    filenames = [line["filename"] for line in read]
    assert len(filenames) == len(set(filenames))
    records = {
        subdir: index.records
        for subdir, index in taken_over.channel.wait_until_it_holds(*OLD, ADDED).items()
    }
    assert stamps(records) == stamps(taken_over.uploaded)


def test_a_second_reconcile_does_nothing(taken_over: TakenOver) -> None:
    counts = taken_over.second["counts"]
    quiet = {"subdirs": len(SUBDIRS) + 1, "objects": PACKAGES + 2}  # and that of the lookalike
    assert {name: count for name, count in counts.items() if count} == quiet


def test_nothing_that_was_there_is_touched_but_the_index(taken_over: TakenOver) -> None:
    channel = taken_over.channel
    now = versions(channel.deployed.stack.s3, BUCKET)
    files = {f"{channel.prefix}{path}" for path in channel.files()}
    ours = {key for key in files if key.endswith(INDEX_FILES) or "/shards/" in key}
    before = {key: one for key, one in taken_over.before.versions.items() if key not in ours}
    after = {key: one for key, one in now.items() if key not in ours}
    assert after.pop(channel.key(ADDED))
    assert after == before


def test_notifications_that_were_there_stay_there(taken_over: TakenOver) -> None:
    s3 = taken_over.channel.deployed.stack.s3
    found = s3.get_bucket_notification_configuration(Bucket=BUCKET)
    assert found["QueueConfigurations"] == taken_over.before.notifications
    assert "EventBridgeConfiguration" in found


@pytest.mark.parametrize("sharded", [True, False], ids=["shards", "repodata.json"])
def test_a_client_installs_from_it(taken_over: TakenOver, tmp_path: Path, *, sharded: bool) -> None:
    records = solve(taken_over.channel, "added", tmp_path, sharded=sharded)
    prefix = install(taken_over.channel, records, tmp_path)
    installed = {path.name for path in (prefix / "conda-meta").glob("*.json")}
    assert installed == {"added-1.0-h0_0.json", "old-0-1.0-h0_0.json"}


def stamps(records: dict[str, dict[str, Any]]) -> dict[tuple[str, str], int]:
    return {
        (subdir, filename): record["indexed_timestamp"]
        for subdir, found in records.items()
        for filename, record in found.items()
    }
