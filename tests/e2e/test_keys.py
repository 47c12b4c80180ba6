"""Keys as they occur: capitals, the bucket's root, and what URLs and events have to escape."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from rattler import Channel as ClientChannel
from rattler import RepoDataRecord

from testkit.channel import Package, conda, tar_bz2
from testkit.deployed import Channel
from tests.e2e.rattler_client import gateway

ASCII = ("", "Conda/Default", "c++/nightly_2", "a&b=c;d@e,f$g!h")
OTHER = ("Bücher/日本",)
"""py-rattler 0.28 escapes such keys twice and finds nothing there, whoever made the index."""
_FIELDS = {"build_number": 0, "depends": [], "subdir": "linux-64"}
PACKAGES: tuple[Package, ...] = (
    conda({"name": "torch", "version": "2.1+cpu", "build": "py312_cu12.4+gpu_0", **_FIELDS}),
    conda({"name": "_openmp_mutex", "version": "1!4.5", "build": "2_gnu", **_FIELDS}),
    tar_bz2({"name": "a.b_c-d", "version": "0.1_rc", "build": "H0_0", **_FIELDS}),
)


@pytest.fixture(scope="module")
def uploaded(make_channel: Callable[[str], Channel]) -> Mapping[str, Channel]:
    """All of them at the same time, to wait only once."""
    channels = {name: make_channel(name) for name in ASCII + OTHER}
    for channel in channels.values():
        channel.upload(*PACKAGES)
    return channels


@pytest.mark.parametrize("name", ASCII + OTHER, ids=lambda name: name or "(root)")
def test_keys_that_need_care_are_indexed_like_any_other(
    uploaded: Mapping[str, Channel], name: str
) -> None:
    uploaded[name].wait_until_it_holds(*PACKAGES)


@pytest.mark.parametrize("name", ASCII, ids=lambda name: name or "(root)")
def test_py_rattler_finds_packages_under_keys_that_need_care(
    uploaded: Mapping[str, Channel], name: str, tmp_path: Path
) -> None:
    channel = uploaded[name]
    channel.wait_until_it_holds(*PACKAGES)
    names = [package.filename.rsplit("-", 2)[0] for package in PACKAGES]

    async def query() -> list[list[RepoDataRecord]]:
        source = ClientChannel(channel.url)
        return list(
            await gateway(channel, tmp_path).query([source], ["linux-64"], names, recursive=False)
        )

    found = sorted(record.file_name for records in asyncio.run(query()) for record in records)
    assert found == sorted(package.filename for package in PACKAGES)
