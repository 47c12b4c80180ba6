"""Events that never arrive: reconcile finds what they would have told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testkit.channel import Package, conda
from testkit.deployed import Channel

NEW, OVERWRITTEN, DELETED = 50, 75, 75
"""Of these 200 nobody is told."""
KEPT = 25


def package(number: int, *, payload: bytes = b"") -> Package:
    index: dict[str, Any] = {
        "name": f"name-{number % 40}",
        "version": f"1.{number}+cpu",
        "build": "h0_0",
        "build_number": 0,
        "depends": [],
        "subdir": ("linux-64", "noarch", "osx-arm64")[number % 3],
    }
    return conda(index, payload=payload)


def packages(count: int, *, start: int, payload: bytes = b"") -> list[Package]:
    return [package(number, payload=payload) for number in range(start, start + count)]


def test_after_200_lost_events_the_index_is_that_of_the_bucket(
    make_channel: Callable[[str], Channel],
) -> None:
    channel = make_channel("e2e/lost")
    kept = packages(KEPT, start=0)
    overwritten = packages(OVERWRITTEN, start=KEPT)
    deleted = packages(DELETED, start=KEPT + OVERWRITTEN)
    rebuilt = packages(OVERWRITTEN, start=KEPT, payload=b"rebuilt")
    new = packages(NEW, start=KEPT + OVERWRITTEN + DELETED)
    channel.upload(*kept, *overwritten, *deleted)
    before = channel.wait_until_it_holds(*kept, *overwritten, *deleted)
    with channel.deployed.uploads_lost():
        channel.upload(*rebuilt, *new)
        channel.delete(*deleted)
    channel.deployed.wait_until_quiet()
    assert channel.indexes() == before

    quiet = {"subdirs": 3, "objects": KEPT + OVERWRITTEN + NEW}
    found = {"missing": NEW, "changed": OVERWRITTEN, "gone": DELETED}
    repaired = {"fed": NEW + OVERWRITTEN, "removals": DELETED, "merges": 3}
    dry = channel.deployed.reconcile(channel=channel.name, dry_run=True)
    assert told(dry) == {**quiet, **found, **repaired}
    assert channel.indexes() == before

    report = channel.deployed.reconcile(channel=channel.name)
    assert told(report) == told(dry)
    channel.wait_until_it_holds(*kept, *rebuilt, *new)

    assert told(channel.deployed.reconcile(channel=channel.name)) == quiet


def told(report: dict[str, Any]) -> dict[str, int]:
    return {name: count for name, count in report["counts"].items() if count}
