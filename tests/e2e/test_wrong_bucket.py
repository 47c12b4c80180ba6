"""The functions with a parameter that leads to another bucket: they change nothing, and say so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from testkit.channel import Package, conda
from testkit.deployed import Channel, Deployed
from testkit.eventually import eventually

OTHER = "sluice-e2e-mistaken"


def package(number: int) -> Package:
    return conda(
        {
            "name": f"name-{number}",
            "version": "1.0",
            "build": "0",
            "build_number": 0,
            "depends": [],
            "subdir": "linux-64",
        }
    )


@contextmanager
def leading_to(channel: Channel, bucket: str) -> Iterator[None]:
    """Have merge and reconcile started with another bucket, as a changed parameter has."""
    stack = channel.deployed.stack
    functions = (stack.merge_function, stack.reconcile_function)
    before = {name: channel.deployed.environment_of(name) for name in functions}
    try:
        for name, variables in before.items():
            stack.functions.update_function_configuration(
                FunctionName=name,
                Environment={"Variables": {**variables, "CHANNEL_BUCKET": bucket}},
            )
        yield
    finally:
        for name, variables in before.items():
            stack.functions.update_function_configuration(
                FunctionName=name, Environment={"Variables": variables}
            )


@pytest.mark.parametrize("count", [4, 60])
def test_no_package_leaves_the_index_and_nothing_is_published_elsewhere(
    deployed: Deployed, count: int
) -> None:
    # Not by the fixture: it takes every error in a log for a failure, and here are some.
    channel = Channel(deployed, f"e2e/wrong-bucket-{count}")
    packages = [package(number) for number in range(count)]
    channel.upload(*packages)
    before = channel.wait_until_it_holds(*packages)
    deployed.wait_until_quiet()
    files = channel.files()
    deployed.stack.s3.create_bucket(Bucket=OTHER)

    with leading_to(channel, OTHER):
        report = deployed.reconcile(channel=channel.name)
        assert report["counts"]["wrong_state"] == report["counts"]["subdirs"] == 2
        assert (report["counts"]["removals"], report["counts"]["merges"]) == (0, 0)
        (failure, *_) = [
            one["failure"] for step in report["steps"].values() for one in step["subdirs"]
        ]
        assert f"is bound to the bucket {deployed.stack.channel_bucket}, not to {OTHER}" in failure
        assert f"sluice rebind s3://{OTHER}/{channel.name}" in failure
        deployed.wait_until_quiet()
        assert deployed.keys(OTHER, "") == []
        assert (channel.indexes(), channel.files()) == (before, files)
        eventually(  # a function's log comes a moment after its response
            lambda: deployed.lines(deployed.stack.reconcile_function, channel=channel.name),
            lambda lines: any("is bound to the bucket" in str(line) for line in lines),
            what="the refusal is logged",
            explain=deployed.describe,
        )

    report = deployed.reconcile(channel=channel.name)
    counts = {name: count for name, count in report["counts"].items() if count}
    assert counts == {"subdirs": 2, "objects": count}
    deployed.wait_until_quiet()
    assert (channel.indexes(), channel.files()) == (before, files)
