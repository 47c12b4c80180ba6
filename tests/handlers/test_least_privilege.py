"""No role may do less than its function does, and none may do more.

``StackDriver`` has the functions do all that they can, and each request that they make is held
against ``template.yaml``.
"""

from __future__ import annotations

import bz2
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from hashlib import sha256

import msgpack
import pytest

from sluice import zstd
from sluice.layout import channel_binding_key
from sluice.limits import MIB
from sluice.storage.s3_client import S3Client
from testkit.channel import PATCHES, Package, conda, patch_package, tar_bz2
from tests.handlers.functions import (
    BACK,
    BUCKET,
    INDEX,
    SLOW_UPLOAD_QUEUE_URL,
    STATE,
    Context,
    Stack,
    batch,
    notification,
    sqs_record,
)
from tests.handlers.permission_recorder import Permission
from tests.handlers.request_faults import failing
from tests.handlers.stack_driver import StackDriver
from tests.support.package_archives import Entry, tar
from tests.support.scripted_aws import error
from tests.support.template import statements

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")

ROLES = {"extract": "ExtractRole", "merge": "MergeRole", "reconcile": "ReconcileRole"}
EVERYTHING = f"""\
[index-config]
notices = [{{ id = "one", message = "Hello" }}]
[sluice]
channeldata = true
current-repodata = true
patches = "{PATCHES}"
repodata-bz2 = true
rss = true
page = true
run-exports = true
"""
QUEUES = {
    "extract": ("UploadQueue", "SlowUploadQueue"),
    "merge": ("MergeQueue",),
    "reconcile": ("ReconcileQueue",),
}
BOMB = bz2.compress(tar([Entry("lib/zeros", bytes(3 * MIB))]))
POLLING = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
LOGGING = ("logs:CreateLogStream", "logs:PutLogEvents")
ENCRYPTION = ("kms:Decrypt", "kms:GenerateDataKey")


def not_by_the_code(function: str) -> set[Permission]:
    """What others do with a function's role, so that no request of its own shows it."""
    # Its event source mappings.
    by_lambda = {(action, queue) for action in POLLING for queue in QUEUES[function]}
    by_lambda |= {(action, f"{function.capitalize()}Logs") for action in LOGGING}
    by_s3 = {(action, "KmsKeyArn") for action in ENCRYPTION}  # ... only, says the condition
    return by_lambda | by_s3


def index_as_others_do(stack: Stack, folder: str, *packages: Package, monolithic: bool) -> None:
    """Write an index as conda-index does: shards beside it, ``repodata.json`` if wished."""
    records = {
        package.filename: {
            **INDEX,
            "name": package.filename.rsplit("-", 2)[0],
            "sha256": sha256(package.body).hexdigest(),
            "size": len(package.body),
        }
        for package in packages
    }
    shard = zstd.compress(msgpack.packb({"packages": {}, "packages.conda": records}))
    digest = sha256(shard)
    info = {"base_url": "", "shards_base_url": ""}
    shards = {"info": info, "shards": {"demo-hello": digest.digest()}}
    files = {
        f"{digest.hexdigest()}.msgpack.zst": shard,
        "repodata_shards.msgpack.zst": zstd.compress(msgpack.packb(shards)),
    }
    if monolithic:
        files["repodata.json"] = json.dumps({"packages.conda": records}).encode()
    for name, body in files.items():
        stack.s3.put_object(Bucket=BUCKET, Key=f"{folder}/{name}", Body=body)
    for package in packages:
        stack.s3.put_object(Bucket=BUCKET, Key=f"{folder}/{package.filename}", Body=package.body)


@contextmanager
def uploads_in_parts_that_fail_once(
    monkeypatch: pytest.MonkeyPatch, client: S3Client
) -> Iterator[None]:
    """Somebody overwrites a file between its parts and their completion."""
    lost = error(412, "PreconditionFailed")
    operation = "s3.CompleteMultipartUpload"
    with (
        monkeypatch.context() as patch,
        failing(client, operation, lost, times=1, where=lambda url: "repodata.json" in url),
    ):
        patch.setattr("sluice.storage.s3_conditional_put.SINGLE_PUT_BYTES_MAX", 0)
        yield


def exercise_all(driver: StackDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have everything happen that the functions know how to deal with."""
    stack = driver.stack
    linux = {**INDEX, "subdir": "linux-64"}
    kept, other, old = conda(linux), conda({**linux, "name": "other"}), tar_bz2(linux)

    # Channels that others have indexed, one of them in shards alone.
    index_as_others_do(stack, "demo/noarch", conda(INDEX), monolithic=True)
    index_as_others_do(stack, "sharded/noarch", conda(INDEX), monolithic=False)
    driver.upload(conda({**INDEX, "version": "2"}))
    driver.upload(conda({**INDEX, "version": "2"}), channel="sharded")
    driver.merge()

    # Uploads, overwritten, broken and removed ones, and a staging record that nobody can read.
    driver.upload(kept, other, old, Package("linux-64", "broken-1-0.conda", b"broken"))
    stack.s3.put_object(Bucket=STATE, Key="staging/demo/linux-64/x-1-0.conda/1.json", Body=b"?")
    driver.merge()
    # One that takes long to read, in vain at first.
    driver.upload(Package("linux-64", "slow-1-0.tar.bz2", BOMB))
    (slow,) = stack.receive(SLOW_UPLOAD_QUEUE_URL)
    channel_client = driver.apps["extract"].ctx().extractor.channel._bucket.client
    driver.fail("extract", batch(slow), "s3.GetObject", channel_client)
    stack.sqs.change_message_visibility(
        QueueUrl=SLOW_UPLOAD_QUEUE_URL, ReceiptHandle=slow["receiptHandle"], VisibilityTimeout=0
    )
    driver.handle_all("extract", SLOW_UPLOAD_QUEUE_URL)
    driver.merge()
    driver.upload(conda(linux, payload=b"overwritten"))
    driver.remove(other)
    driver.merge()

    # Everything that a configuration can ask for, patches with it; then nothing of it.
    driver.configure(EVERYTHING)
    driver.merge()
    driver.upload(patch_package("1", {"linux-64": {"remove": [kept.filename]}}))
    driver.merge()
    patched = conda({**linux, "name": "patched"})
    driver.upload(patched)
    driver.merge()
    driver.configure("[index-config]\nwrite-zst = false\nwrite-shards = false\n")
    driver.merge()
    driver.configure(EVERYTHING)
    driver.merge()

    # Failures.
    upload = batch(sqs_record(notification(f"demo/{kept.path}")))
    driver.fail(
        "extract",
        upload,
        "s3.GetObject",
        driver.apps["extract"].ctx().extractor.channel._bucket.client,
    )
    request = {"channel": "demo", "subdir": "noarch", "not_before": 0}
    merge_client = driver.apps["merge"].ctx().channel._bucket.client
    driver.fail("merge", batch(sqs_record(request)), "s3.ListObjectsV2", merge_client)

    # An index that has become large.
    driver.upload(conda({**linux, "name": "large"}))
    with uploads_in_parts_that_fail_once(monkeypatch, merge_client):
        driver.merge()

    # A state of 0.1 does not say which bucket it belongs to: reconcile finds that out.
    stack.s3.delete_object(Bucket=STATE, Key=channel_binding_key("demo"))
    assert driver.reconcile()["counts"]["wrong_state"] == 0

    weeks_later(driver, monkeypatch, lost=other, gone=[old, patched])

    # Digests that an uploader states, and that are false.
    with monkeypatch.context() as patch:
        for module in ("package.reader", "reconcile.digest_progress"):
            patch.setattr(f"sluice.{module}.SMALL_PACKAGE_BYTES_MAX", 0)
        liar = conda({**linux, "name": "liar"})
        driver.upload(liar, metadata={"package-sha256": "0" * 64})
        driver.merge()
        assert driver.reconcile()["counts"]["digests_false"] == 1


def pack_leaves(driver: StackDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have two commits write packs, of which the second supersedes what is in the first."""
    index = {**INDEX, "subdir": "linux-64", "name": "patched"}
    with monkeypatch.context() as patch:
        patch.setattr("sluice.merge.leaf_writer.PACKED_LEAVES_MIN", 1)
        for version in ("2", "3"):
            driver.upload(conda({**index, "version": version}))
            driver.merge()


def take_over_in_steps(driver: StackDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an index taken over by several merges, and another take-over be given up."""
    packages = [conda({**INDEX, "name": name}) for name in ("one", "two")]
    index_as_others_do(driver.stack, "stepwise/noarch", *packages, monolithic=True)
    driver.upload(conda({**INDEX, "version": "2"}), channel="stepwise")
    with monkeypatch.context() as patch:
        patch.setattr(Context, "get_remaining_time_in_millis", lambda _self: 0)
        patch.setattr("sluice.merge.take_over_steps.TAKE_OVER_IN_STEPS_RECORDS_MIN", 0)
        patch.setattr("sluice.merge.generation_writer.NAMES_AT_ONCE", 1)
        driver.merge()
    assert sum(bool(line.get("names_left")) for line in driver.stack.logs) > 0
    driver.stack.s3.put_object(Bucket=STATE, Key="takeovers/demo/noarch.msgpack.zst", Body=b"?")


def weeks_later(
    driver: StackDriver, monkeypatch: pytest.MonkeyPatch, *, lost: Package, gone: Sequence[Package]
) -> None:
    """Have garbage collected and lost events made up for, of an upload and of removals."""
    stack = driver.stack
    pack_leaves(driver, monkeypatch)
    # What was taken over is just about to be let go.
    driver.age(days=30, bucket=BUCKET)
    driver.age(days=30, bucket=STATE)
    driver.age(days=-22.5, bucket=STATE, prefix="taken-over/sharded")
    # Lost events: an upload, removals.
    stack.s3.put_object(Bucket=BUCKET, Key="demo/linux-64/lost-1-0.conda", Body=lost.body)
    for package in gone:
        stack.s3.delete_object(Bucket=BUCKET, Key=f"demo/{package.path}")
    with monkeypatch.context() as patch:  # one subdir per step
        patch.setattr(Context, "get_remaining_time_in_millis", lambda _self: 0)
        found = driver.reconcile()
    assert len(found["steps"]) > 1
    assert (found["counts"]["missing"], found["counts"]["gone"]) == (1, 2)
    assert found["counts"]["collected"] > 0
    driver.age(days=30, bucket=STATE, prefix="taken-over/")
    driver.age(days=30, bucket=BUCKET)
    driver.reconcile(re_extract=True, adopt=True)
    step = batch(sqs_record("not a step"))
    assert driver.invoke("reconcile", step) == BACK


def covers(grant: Permission, use: Permission) -> bool:
    """Tell whether a grant allows a use; in IAM as here ``*`` also stands for slashes."""
    return grant[0] == use[0] and fnmatchcase(use[1], grant[1].replace("[", "[[]"))


def test_each_role_allows_exactly_what_its_function_does(
    driver: StackDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_over_in_steps(driver, monkeypatch)
    exercise_all(driver, monkeypatch)
    missing: dict[str, list[Permission]] = {}
    needless: dict[str, list[Permission]] = {}
    for name, role in ROLES.items():
        granted, used = set(statements(role)), driver.recorder.permissions[name]
        missing[name] = sorted(
            use for use in used if not any(covers(grant, use) for grant in granted)
        )
        needless[name] = sorted(
            grant
            for grant in granted - not_by_the_code(name)
            if not any(covers(grant, use) for use in used)
        )
    nothing: dict[str, list[Permission]] = {name: [] for name in ROLES}
    assert (missing, needless) == (nothing, nothing)


@pytest.mark.parametrize("name", ROLES)
def test_what_lambda_and_s3_do_with_a_role_is_granted_as_well(name: str) -> None:
    assert not_by_the_code(name) <= set(statements(ROLES[name]))
