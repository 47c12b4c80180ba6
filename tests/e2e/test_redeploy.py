"""A stack is deleted, and another one goes on with the two buckets that it has left behind."""

from __future__ import annotations

from typing import Any

import pytest

from local import clients
from local.emulator import run_emulator
from local.stack import delete, deploy
from testkit.channel import Package, conda
from testkit.deployed import Channel, Deployed


def package(name: str) -> Package:
    index: dict[str, Any] = {"name": name, "version": "1.0", "build": "h0_0", "build_number": 0}
    return conda({**index, "depends": [], "subdir": "linux-64"})


KEPT, MISSED, ADDED = package("kept"), package("missed"), package("added")


def test_another_stack_goes_on_with_what_a_deleted_one_has_left(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home = tmp_path_factory.mktemp("redeploy")
    with run_emulator(home) as emulator:
        first = deploy(emulator, home)
        channel = Channel(Deployed(first), "Team/Default")
        channel.upload(KEPT)
        generations = {
            subdir: index.generation for subdir, index in channel.wait_until_it_holds(KEPT).items()
        }
        delete(emulator)

        s3 = clients.s3(emulator.endpoint, emulator.ca_bundle)
        # The notifications, whose queue is gone; nobody else has any on a bucket of sluice's own.
        s3.put_bucket_notification_configuration(
            Bucket=first.channel_bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        channel.upload(MISSED)  # nobody is there to hear of it
        second = deploy(
            emulator,
            home,
            parameters={
                "ExistingChannelBucketName": first.channel_bucket,
                "ExistingStateBucketName": first.state_bucket,
                "ChannelPrefixes": "Team/",
            },
        )
        assert (second.channel_bucket, second.state_bucket) == (
            first.channel_bucket,
            first.state_bucket,
        )
        channel = Channel(Deployed(second), channel.name)
        elsewhere = Channel(channel.deployed, "elsewhere")
        elsewhere.upload(ADDED)
        channel.upload(ADDED)
        indexes = channel.wait_until_it_holds(KEPT, ADDED)
        assert indexes["linux-64"].generation > generations["linux-64"]

        report = channel.deployed.reconcile()
        assert (report["counts"]["missing"], report["counts"]["fed"]) == (1, 1)
        channel.wait_until_it_holds(KEPT, MISSED, ADDED)
        assert elsewhere.files() == []
        assert channel.deployed.errors() == []
