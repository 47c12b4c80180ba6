"""What an upload, an overwrite and a removal come to."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import md5, sha256
from io import BytesIO
from random import Random
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from sluice.settings import MergeSettings
from testkit.channel import Package, conda, tar_bz2
from testkit.deployed import Channel
from testkit.eventually import eventually
from testkit.published import Index
from tests.e2e.s3_events import notification

INDEX: dict[str, Any] = {
    "name": "app",
    "version": "1.0",
    "build": "h0_0",
    "build_number": 0,
    "depends": ["lib >=1"],
    "license": "MIT",
    "subdir": "linux-64",
    "timestamp": 1_700_000_000_000,
}
APP = conda(INDEX, payload=b"app")
LIB = tar_bz2({**INDEX, "name": "lib", "depends": []}, payload=b"lib")
_PART_BYTES = 5 * 1024 * 1024
"""The least that S3 takes; two are more than what extract reads in one piece."""
NAMESPACE = "Sluice/sluice"
"""With the name of the stack, so that two do not mix their metrics."""
_PASSED_OVER = "not a package of this channel bucket"
"""What extract logs at DEBUG, at which ``deployed`` runs, of each key that is no package's."""


@pytest.fixture(scope="module")
def uploaded(make_channel: Callable[[str], Channel]) -> Channel:
    """A channel into which two packages for one platform were uploaded; only to be looked at."""
    channel = make_channel("e2e/uploaded")
    channel.upload(APP, LIB)
    channel.wait_until_it_holds(APP, LIB)
    return channel


def test_an_upload_is_indexed_with_all_that_it_says_about_itself(uploaded: Channel) -> None:
    records = uploaded.indexes()["linux-64"].records
    for record in records.values():
        record.pop("indexed_timestamp")
    assert records == {
        APP.filename: {**INDEX, "constrains": [], **_facts(APP)},
        LIB.filename: {**INDEX, "name": "lib", "depends": [], "constrains": [], **_facts(LIB)},
    }


def test_a_channel_of_one_platform_gets_an_empty_noarch(uploaded: Channel) -> None:
    assert uploaded.indexes()["noarch"] == Index(generation=1, records={})


def test_index_files_say_who_wrote_them_and_how_long_to_keep_them(uploaded: Channel) -> None:
    stack = uploaded.deployed.stack
    settings = MergeSettings.from_env(uploaded.deployed.environment_of(stack.merge_function))
    types = {
        "repodata.json": "application/json",
        "repodata.json.zst": "application/zstd",
        "repodata_shards.msgpack.zst": "application/zstd",
    }
    for subdir, index in uploaded.indexes().items():
        tree = json.loads(uploaded.read(f"{subdir}/repodata.json"))["sluice"]["tree"]
        stamp = {
            "sluice-generation": str(index.generation),
            "sluice-tree": tree,
            "sluice-owner": settings.owner,
        }
        for name, content_type in types.items():
            assert _headers(uploaded, f"{subdir}/{name}") == {
                "type": content_type,
                "cache": "public, max-age=60",
                "encoding": None,
                "metadata": stamp,
            }
    assert settings.owner == stack.state_bucket


def test_shards_are_kept_for_ever(uploaded: Channel) -> None:
    shards = [path for path in uploaded.files() if "/shards/" in path]
    assert len(shards) == 2
    for path in shards:
        assert _headers(uploaded, path) == {
            "type": "application/zstd",
            "cache": "public, max-age=31536000, immutable",
            "encoding": None,
            "metadata": {},
        }


def test_what_is_published_calls_no_function_again(uploaded: Channel) -> None:
    # A later upload tells when to look: whatever was published before it, S3 has told before it.
    other = Channel(uploaded.deployed, "e2e/later")
    other.upload(APP)
    other.wait_until_it_holds(APP)
    stack = uploaded.deployed.stack
    # And an event that S3 does not send tells that one would be seen.
    forged = f"{uploaded.prefix}noarch/repodata.json"

    def passed_over() -> set[str]:
        uploaded.deployed.replay(notification(stack.channel_bucket, forged))
        uploaded.deployed.wait_until_quiet()
        lines = uploaded.deployed.lines(stack.extract_function, message=_PASSED_OVER)
        return {line["key"] for line in lines if line["key"].startswith(uploaded.prefix)}

    # MiniStack may miss the last line that an environment writes on a busy machine.
    told = eventually(passed_over, bool, what="the forged event is told of")
    assert told == {forged}
    handled = uploaded.deployed.lines(stack.extract_function, channel=uploaded.name)
    assert all(line["message"] == "staged" for line in handled)
    files = [line["filename"] for line in handled]
    assert set(files) <= {APP.filename, LIB.filename}
    assert len(files) == len(set(files))


def test_the_log_tells_what_was_done_to_which_package(uploaded: Channel) -> None:
    stack = uploaded.deployed.stack
    (extracted,) = uploaded.deployed.lines(
        stack.extract_function, channel=uploaded.name, filename=APP.filename
    )
    assert extracted["message"] == "staged"
    assert extracted["subdir"] == "linux-64"
    merged = uploaded.deployed.lines(
        stack.merge_function, channel=uploaded.name, subdir="linux-64", message="merged"
    )
    generations = [line["generation"] for line in merged]
    assert generations == sorted(generations)
    assert generations[-1] == uploaded.indexes()["linux-64"].generation
    assert sum(line["PackagesIndexed"] for line in merged) == 2


def test_metrics_are_in_the_log_where_cloudwatch_finds_them(uploaded: Channel) -> None:
    stack = uploaded.deployed.stack
    named = {
        function: {
            (directive["Namespace"], metric["Name"])
            for line in uploaded.deployed.lines(function)
            for directive in line.get("_aws", {}).get("CloudWatchMetrics", ())
            for metric in directive["Metrics"]
        }
        for function in (stack.extract_function, stack.merge_function)
    }
    assert named[stack.extract_function] == {(NAMESPACE, "StagedRecords")}
    assert named[stack.merge_function] == {
        (NAMESPACE, "ForeignIndexWrites"),
        (NAMESPACE, "IndexLag"),
        (NAMESPACE, "MergeDuration"),
        (NAMESPACE, "PackagesIndexed"),
        (NAMESPACE, "PackagesRejected"),
        (NAMESPACE, "PackagesRemoved"),
        (NAMESPACE, "StagingSetAside"),
        (NAMESPACE, "TimestampWarnings"),
    }


def test_a_package_overwritten_under_its_name_replaces_its_record(channel: Channel) -> None:
    channel.upload(APP)
    before = channel.wait_until_it_holds(APP)["linux-64"].records[APP.filename]
    after_that = conda(INDEX, payload=b"app, rebuilt")
    assert after_that.path == APP.path
    channel.upload(after_that)
    after = channel.wait_until_it_holds(after_that)["linux-64"].records[APP.filename]
    assert after == {
        **before,
        **_facts(after_that),
        "indexed_timestamp": after["indexed_timestamp"],
    }
    assert after["indexed_timestamp"] > before["indexed_timestamp"]


def test_a_package_overwritten_by_garbage_leaves_the_index_until_it_is_repaired(
    channel: Channel,
) -> None:
    channel.upload(APP, LIB)
    channel.wait_until_it_holds(APP, LIB)
    channel.upload(Package(APP.subdir, APP.filename, APP.body[: len(APP.body) // 2]))
    channel.wait_until_it_holds(LIB)
    ((filename, (code, sentence)),) = channel.rejects("linux-64").items()
    assert filename == APP.filename
    assert code == "zip-invalid"
    assert sentence.startswith(f"{APP.filename} ")
    channel.upload(APP)
    channel.wait_until_it_holds(APP, LIB)
    assert channel.rejects("linux-64") == {}


def test_it_does_not_matter_how_a_package_came_into_the_bucket(channel: Channel) -> None:
    plain, trusted, copied = (
        conda({**INDEX, "name": name}, payload=Random(name).randbytes(2 * _PART_BYTES))  # noqa: S311
        for name in ("in-parts", "in-parts-by-rattler-build", "copied")
    )
    stack = channel.deployed.stack
    in_parts = TransferConfig(multipart_threshold=_PART_BYTES, multipart_chunksize=_PART_BYTES)
    for package, metadata in (
        (plain, {}),
        (trusted, {f"package-{name}": _facts(trusted)[name] for name in ("sha256", "md5")}),
    ):
        stack.s3.upload_fileobj(
            BytesIO(package.body),
            stack.channel_bucket,
            channel.key(package),
            ExtraArgs={"Metadata": metadata},
            Config=in_parts,
        )
    elsewhere = "not-a-channel/copied"
    stack.s3.put_object(Bucket=stack.channel_bucket, Key=elsewhere, Body=copied.body)
    stack.s3.copy_object(
        Bucket=stack.channel_bucket,
        Key=channel.key(copied),
        CopySource={"Bucket": stack.channel_bucket, "Key": elsewhere},
    )
    records = channel.wait_until_it_holds(plain, trusted, copied)["linux-64"].records
    for package in (plain, trusted, copied):
        assert records[package.filename].items() >= _facts(package).items()


def test_what_is_deleted_leaves_the_index(channel: Channel) -> None:
    other = conda({**INDEX, "name": "other"})
    channel.upload(APP, LIB, other)
    channel.wait_until_it_holds(APP, LIB, other)
    stack = channel.deployed.stack
    channel.delete(APP)
    stack.s3.delete_objects(  # what "aws s3 rm --recursive" asks for
        Bucket=stack.channel_bucket, Delete={"Objects": [{"Key": channel.key(LIB)}]}
    )
    channel.wait_until_it_holds(other)
    channel.delete(other)
    indexes = channel.wait_until_it_holds()
    assert indexes["linux-64"].records == {}


def _facts(package: Package) -> dict[str, Any]:
    return {
        "md5": md5(package.body, usedforsecurity=False).hexdigest(),
        "sha256": sha256(package.body).hexdigest(),
        "size": len(package.body),
    }


def _headers(channel: Channel, path: str) -> dict[str, Any]:
    stack = channel.deployed.stack
    found = stack.s3.head_object(Bucket=stack.channel_bucket, Key=channel.prefix + path)
    return {
        "type": found["ContentType"],
        "cache": found.get("CacheControl"),
        "encoding": found.get("ContentEncoding"),
        "metadata": found["Metadata"],
    }
