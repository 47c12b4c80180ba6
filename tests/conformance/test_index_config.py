"""A table ``[index-config]`` means to sluice what it means to rattler-index."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import rattler.index
from rattler.config import Config

from sluice.layout import REPODATA, Subdir, config_key
from testkit.channel import conda
from testkit.system import System

CHANNEL = "team"
APP = conda({"name": "app", "version": "1", "build": "0", "build_number": 0, "subdir": "linux-64"})


@pytest.mark.parametrize(
    "table",
    [
        "",
        'base-url = "https://cdn.example/"',
        'repodata-revisions = [{ revision = "v3", message = "soon" }]',
        'channel-relations = { base = "../conda-forge" }',
        'virtual-package-detectors = { z-detect = ["__z"], mpi-detect = ["__b", "__a"] }',
        "virtual-package-detectors = {}",
    ],
)
def test_both_say_the_same_of_the_channel(table: str, tmp_path: Path) -> None:
    text = f"[index-config]\n{table}\n"
    APP.write_below(tmp_path)
    (tmp_path / "noarch").mkdir()
    asyncio.run(rattler.index.index_fs(tmp_path, config=Config.from_toml(text)))
    system = System(1_750_000_000_000)
    key = f"{CHANNEL}/{APP.path}"
    system.upload({config_key(CHANNEL): text.encode(), key: APP.body})
    system.notify(key)
    system.run_until_idle()
    for name in ("linux-64", "noarch"):
        theirs = json.loads((tmp_path / name / REPODATA).read_bytes())["info"]
        assert json.loads(system.body(Subdir(CHANNEL, name), REPODATA))["info"] == theirs
