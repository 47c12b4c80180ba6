"""The index of the channel that is measured is what rattler-index would write."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from rattler.index import index_fs

from benchmarks.channel import files
from testkit.made_up import SUBDIR, packages
from testkit.zstd import one_frame

SIZE = 200


def test_the_index_that_is_there_at_first_is_what_rattler_index_would_write(
    tmp_path: Path,
) -> None:
    made = dict(files(SIZE))
    for package in packages(SIZE):
        package.write_below(tmp_path)
        assert made[package.path] == package.body
    asyncio.run(index_fs(tmp_path))
    ours = json.loads(made[f"{SUBDIR}/repodata.json"])
    theirs = json.loads((tmp_path / SUBDIR / "repodata.json").read_bytes())
    for repodata in (ours, theirs):
        for record in repodata["packages.conda"].values():
            assert record.pop("indexed_timestamp") > record["timestamp"]
    assert ours["packages.conda"] == theirs["packages.conda"]
    assert one_frame(made[f"{SUBDIR}/repodata.json.zst"]) == made[f"{SUBDIR}/repodata.json"]
    assert json.loads(made["noarch/repodata.json"])["packages.conda"] == {}
