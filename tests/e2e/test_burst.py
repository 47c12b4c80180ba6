"""Many uploads at once, a bad one among them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product

from testkit.channel import Package, conda
from testkit.deployed import Channel

SUBDIRS = ("linux-64", "noarch", "osx-arm64")
NAMES, VERSIONS = 10, 5
BAD = "name-3-1.0-h0_0.conda"
"""In ``linux-64`` of the first channel."""
_PUBLISHERS = 8


def test_one_bad_package_among_300_harms_none_of_the_others(
    make_channel: Callable[[str], Channel],
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    channels = (make_channel("e2e/burst"), make_channel("e2e/burst/nested"))
    packages = [*map(_package, SUBDIRS * NAMES * VERSIONS, range(len(SUBDIRS) * NAMES * VERSIONS))]
    (bad,) = (package for package in packages if package.path == f"linux-64/{BAD}")
    first = [package for package in packages if package is not bad]
    with ThreadPoolExecutor(_PUBLISHERS) as publishers:
        uploads = [(channels[0], Package(bad.subdir, bad.filename, b"\0" * 1000))]
        uploads += [*product(channels[:1], first), *product(channels[1:], packages)]
        for done in [publishers.submit(channel.upload, package) for channel, package in uploads]:
            done.result()
    assert len(uploads) == 300

    generations = 0
    for channel, expected in zip(channels, (first, packages), strict=True):
        indexes = channel.wait_until_it_holds(*expected)
        assert indexes.keys() == set(SUBDIRS)
        generations += sum(index.generation for index in indexes.values())
    rejects = {
        (channel.name, subdir): channel.rejects(subdir)
        for channel, subdir in product(channels, SUBDIRS)
        if channel.rejects(subdir)
    }
    ((where, ((filename, (code, sentence)),)),) = (
        (where, found.items()) for where, found in rejects.items()
    )
    assert (where, filename, code) == ((channels[0].name, "linux-64"), BAD, "zip-invalid")
    assert sentence.startswith(f"{BAD} is damaged, truncated or not a zip file")
    assert not any(channel.staged(subdir) for channel, subdir in product(channels, SUBDIRS))

    deployed = channels[0].deployed
    merges = [
        line
        for channel in channels
        for line in deployed.lines(deployed.stack.merge_function, channel=channel.name)
    ]
    assert sum(line["PackagesIndexed"] for line in merges) == 299
    assert generations < len(uploads)
    record_testsuite_property("generations of 300 uploads", generations)
    record_testsuite_property("merges of 300 uploads", len(merges))


def _package(subdir: str, number: int) -> Package:
    name, version = divmod(number // len(SUBDIRS), VERSIONS)
    return conda(
        {
            "name": f"name-{name}",
            "version": f"{version}.0",
            "build": "h0_0",
            "build_number": 0,
            "depends": [],
            "subdir": subdir,
        }
    )
