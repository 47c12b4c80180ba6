"""A burst over several subdirs; ``make load`` does the same with 10,000 packages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from benchmarks.load import measure, problems
from local.stack import run_stack
from testkit.deployed import Channel, Deployed

DEBOUNCE_SECONDS = 20
"""So long that even a machine that reads one package a second has several of them share a merge:
else the requests per package would measure the machine."""
SECONDS_MAX = 900.0
"""Generous: it is only reached where something is wrong, and machines may be busy."""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    home = tmp_path_factory.mktemp("load")
    with run_stack(home, debounce_seconds=DEBOUNCE_SECONDS) as stack:
        deployed = Deployed(stack)
        deployed.wait_until_quiet()  # S3 has sent its test event
        yield deployed


def test_500_uploads_at_once_lose_nothing_and_take_at_most_12_requests_each(
    loaded: Deployed, record_testsuite_property: Callable[[str, object], None]
) -> None:
    outcome = measure(
        Channel(loaded, "load"), packages=500, subdirs=5, seconds_max=SECONDS_MAX, say=print
    )
    assert problems(outcome) == []
    assert sum(line["PackagesIndexed"] for line in outcome.merges) == outcome.packages == 500
    assert loaded.errors() == []
    record_testsuite_property("S3 requests per package", outcome.s3_requests_per_package)
