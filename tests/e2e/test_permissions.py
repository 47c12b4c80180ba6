"""Every policy enforced: do the functions get by with what their roles allow?

MiniStack evaluates IAM, bucket and queue policies here, over TLS, as AWS does.  Everything else
is tested without, where a test can be told from outside what it may do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.emulator import CREDENTIALS, REGION
from local.stack import Stack, run_stack
from sluice.layout import PAGE, PAGE_DATA, REPODATA, SHARD_INDEX, Subdir, config_key
from sluice.publish.outputs import ALL_OUTPUTS
from testkit.channel import PATCHES, Package, conda, patch_package
from testkit.deployed import Deployed
from testkit.eventually import eventually

CHANNEL = "Team/Default"
INDEX = {"version": "1.0", "build": "h1_0", "build_number": 0, "depends": [], "subdir": "linux-64"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with run_stack(tmp_path_factory.mktemp("strict"), strict=True) as running:
        yield running


def read(stack: Stack, bucket: str, key: str) -> Any:
    try:
        return json.load(stack.s3.get_object(Bucket=bucket, Key=key)["Body"])
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise


def indexed(stack: Stack, subdir: str, channel: str = CHANNEL) -> set[str] | None:
    index = read(stack, stack.channel_bucket, Subdir(channel, subdir).file_key(REPODATA))
    return None if index is None else set(index["packages.conda"])


def rejected(stack: Stack, subdir: str) -> set[str]:
    document = read(stack, stack.state_bucket, Subdir(CHANNEL, subdir).rejects_key)
    return {one["filename"] for one in document["rejects"]} if document else set()


def published(stack: Stack, subdir: Subdir) -> tuple[set[str], set[str], set[str]]:
    """Its index files, the packages that they show, and those that they say are removed."""
    found = stack.s3.list_objects_v2(
        Bucket=stack.channel_bucket, Prefix=subdir.prefix, Delimiter="/"
    )
    files = {one["Key"].removeprefix(subdir.prefix) for one in found.get("Contents", [])}
    index = read(stack, stack.channel_bucket, subdir.file_key(REPODATA)) or {"packages.conda": {}}
    return files & set(ALL_OUTPUTS), set(index["packages.conda"]), set(index.get("removed", []))


def for_people(stack: Stack, channel: str) -> set[str]:
    """The files of the channel's page."""
    found = stack.s3.list_objects_v2(
        Bucket=stack.channel_bucket, Prefix=f"{channel}/", Delimiter="/"
    )
    files = {one["Key"].removeprefix(f"{channel}/") for one in found.get("Contents", [])}
    return files & {PAGE, PAGE_DATA}


def left_over(stack: Stack) -> dict[str, int]:
    """What is there only as long as something is under way, or where something went wrong."""
    staged = stack.s3.list_objects_v2(Bucket=stack.state_bucket, Prefix="staging/")
    found = {"staging": staged["KeyCount"]}
    for url in (
        stack.upload_queue_url,
        stack.upload_dlq_url,
        stack.slow_upload_queue_url,
        stack.slow_upload_dlq_url,
        stack.merge_queue_url,
        stack.merge_dlq_url,
        stack.reconcile_queue_url,
        stack.reconcile_dlq_url,
    ):
        attributes = stack.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        found[url] = sum(
            int(value)
            for name, value in attributes["Attributes"].items()
            if name.startswith("ApproximateNumberOfMessages")
        )
    return found


def test_somebody_without_a_policy_is_refused(stack: Stack) -> None:
    # Without this the test below would prove nothing.
    where: dict[str, Any] = {
        "region_name": REGION,
        "endpoint_url": stack.endpoint,
        "verify": str(stack.ca_bundle),
    }
    iam = boto3.client(
        "iam",
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        **where,
    )
    iam.create_user(UserName="stranger")
    key = iam.create_access_key(UserName="stranger")["AccessKey"]
    stranger = boto3.client(
        "s3",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        **where,
    )
    with pytest.raises(ClientError) as refused:
        stranger.put_object(Bucket=stack.channel_bucket, Key="a/noarch/a-1-0.conda", Body=b"")
    assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_the_roles_suffice_to_index_to_reject_and_to_remove(stack: Stack) -> None:
    kept, removed = (conda({**INDEX, "name": name}) for name in ("kept", "removed"))
    broken = "broken-1.0-h1_0.conda"

    def key(path: str) -> str:
        return f"{CHANNEL}/{path}"

    for package in (kept, removed):
        stack.s3.put_object(Bucket=stack.channel_bucket, Key=key(package.path), Body=package.body)
    stack.s3.put_object(Bucket=stack.channel_bucket, Key=key(f"linux-64/{broken}"), Body=b"?")
    eventually(
        lambda: indexed(stack, "linux-64"),
        lambda seen: seen == {kept.filename, removed.filename},
        what="the index",
    )
    # The first commit of a subdir asks for a noarch, and another merge writes it.
    eventually(lambda: indexed(stack, "noarch"), lambda seen: seen == set(), what="noarch")
    eventually(lambda: rejected(stack, "linux-64"), lambda seen: seen == {broken}, what="reject")

    stack.s3.delete_object(Bucket=stack.channel_bucket, Key=key(removed.path))
    eventually(
        lambda: indexed(stack, "linux-64"),
        lambda seen: seen == {kept.filename},
        what="the removal",
    )
    eventually(lambda: left_over(stack), lambda seen: not any(seen.values()), what="rest")


def test_the_roles_suffice_to_repair_what_events_missed(stack: Stack) -> None:
    kept, removed, missed = (
        conda({**INDEX, "name": name}) for name in ("kept", "removed", "missed")
    )
    channel, deployed = "Team/Repaired", Deployed(stack)

    def upload(package: Package) -> None:
        key = f"{channel}/{package.path}"
        stack.s3.put_object(Bucket=stack.channel_bucket, Key=key, Body=package.body)

    upload(kept)
    upload(removed)
    eventually(
        lambda: indexed(stack, "linux-64", channel),
        lambda seen: seen == {kept.filename, removed.filename},
        what="the index",
    )
    eventually(lambda: left_over(stack), lambda seen: not any(seen.values()), what="rest")
    with deployed.without_events():
        upload(missed)
        stack.s3.delete_object(Bucket=stack.channel_bucket, Key=f"{channel}/{removed.path}")

    report = deployed.reconcile()
    counts = report["counts"]
    assert (counts["fed"], counts["removals"], counts["failed"]) == (1, 1, 0), report
    # It was looked for by HEAD before, and the removal is noted.
    noted = read(stack, stack.state_bucket, Subdir(channel, "linux-64").brakes_key)
    assert set(noted["removed"]) == {removed.filename}
    eventually(
        lambda: indexed(stack, "linux-64", channel),
        lambda seen: seen == {kept.filename, missed.filename},
        what="the repair",
    )
    eventually(lambda: left_over(stack), lambda seen: not any(seen.values()), what="rest")
    assert deployed.reconcile()["counts"]["fed"] == 0


def test_the_roles_suffice_to_configure_a_channel_to_patch_it_and_to_take_both_back(
    stack: Stack,
) -> None:
    subdir = Subdir("Team/Configured", "linux-64")
    kept, yanked = (conda({**INDEX, "name": name}) for name in ("kept", "yanked"))
    patch = patch_package("1", {subdir.name: {"remove": [yanked.filename]}})
    for package in (kept, yanked, patch):
        key = f"{subdir.channel}/{package.path}"
        stack.s3.put_object(Bucket=stack.channel_bucket, Key=key, Body=package.body)
    both = {kept.filename, yanked.filename}
    by_default = {
        *(SHARD_INDEX, "repodata.json", "repodata.json.zst"),
        *("run_exports.json", "run_exports.json.zst"),
    }
    eventually(
        lambda: published(stack, subdir),
        lambda seen: seen == (by_default, both, set()),
        what="the index",
    )

    toml = f"""
    [index-config]
    write-shards = false
    [sluice]
    current-repodata = true
    page = true
    repodata-bz2 = true
    patches = "{PATCHES}"
    """
    configured = by_default - {SHARD_INDEX} | {
        *("repodata.json.bz2", "patch_instructions.json"),
        *("current_repodata.json", "current_repodata.json.zst"),
        *("repodata_from_packages.json", "repodata_from_packages.json.zst"),
    }
    bucket, key = stack.channel_bucket, config_key(subdir.channel)
    stack.s3.put_object(Bucket=bucket, Key=key, Body=toml.encode())
    eventually(
        lambda: published(stack, subdir),
        lambda seen: seen == (configured, {kept.filename}, {yanked.filename}),
        what="the configuration",
    )
    eventually(
        lambda: for_people(stack, subdir.channel),
        lambda seen: seen == {PAGE, PAGE_DATA},
        what="the page",
    )
    stack.s3.delete_object(Bucket=bucket, Key=key)
    eventually(
        lambda: published(stack, subdir),
        lambda seen: seen == (by_default, both, set()),
        what="the defaults",
    )
    eventually(
        lambda: for_people(stack, subdir.channel), lambda seen: seen == set(), what="no page"
    )
    eventually(lambda: left_over(stack), lambda seen: not any(seen.values()), what="rest")
