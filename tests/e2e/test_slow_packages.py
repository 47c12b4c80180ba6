"""A package that is slow to read is indexed from the slow lane, and a bomb is rejected there."""

from __future__ import annotations

import bz2
import json
from typing import Any

from testkit.channel import Package, conda
from testkit.deployed import Channel
from testkit.eventually import eventually
from tests.support.package_archives import Entry, tar

INDEX: dict[str, Any] = {
    "name": "slow",
    "version": "1.0",
    "build": "h0_0",
    "build_number": 0,
    "depends": [],
    "subdir": "linux-64",
}
ZEROS = Entry("lib/zeros", bytes(3 * 2**20))
SLOW = Package(
    "linux-64",
    "slow-1.0-h0_0.tar.bz2",
    bz2.compress(tar([ZEROS, Entry("info/index.json", json.dumps(INDEX).encode())])),
)
BOMB = Package("linux-64", "bomb-1.0-h0_0.tar.bz2", bz2.compress(tar([ZEROS])))
QUICK = conda({**INDEX, "name": "quick"})


def test_what_is_slow_to_read_goes_through_the_slow_lane(channel: Channel) -> None:
    deployed, stack = channel.deployed, channel.deployed.stack
    channel.upload(SLOW, BOMB, QUICK)
    channel.wait_until_it_holds(SLOW, QUICK)

    def deferred() -> set[str]:
        message = "to be read in the slow lane"
        lines = deployed.lines(stack.extract_function, message=message, channel=channel.name)
        return {line["filename"] for line in lines}

    eventually(
        deferred,
        {SLOW.filename, BOMB.filename}.__eq__,
        what="both slow packages were left to the slow lane",
        explain=deployed.describe,
        seconds_max=deployed.seconds_max,
    )
    document = deployed.get(stack.state_bucket, channel.subdir("linux-64").rejects_key)
    assert document is not None
    rejects = json.loads(document)["rejects"]
    assert [(one["filename"], one["code"]) for one in rejects] == [
        (BOMB.filename, "index-json-missing")
    ]
