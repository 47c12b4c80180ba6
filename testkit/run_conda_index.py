"""Run conda-index over a channel: ``python run_conda_index.py <folder> <options as JSON>``.

Runs in an environment of its own, see ``requirements/conda-index.in``, and imports nothing of
ours.  conda-index needs two things of conda, which the package index for Python has only in
versions of long ago: the names of all subdirs, and an order of versions for ``channeldata.json``.
Both are stood in for here.  ``current_repodata.json`` needs conda's solver, and is left out.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from types import ModuleType
from typing import Self

_SUBDIRS = ("linux-64", "linux-aarch64", "noarch", "osx-64", "osx-arm64", "win-64")


class _VersionOrder(tuple[int, ...]):
    """Good for versions of numbers and dots, which is all that there are in these channels."""

    __slots__ = ()

    def __new__(cls, version: str) -> Self:
        return super().__new__(cls, map(int, version.split(".")))


def _stand_in_for_conda() -> None:
    for name, contents in (
        ("conda", {}),
        ("conda.base", {}),
        ("conda.base.constants", {"PLATFORM_DIRECTORIES": _SUBDIRS}),
        ("conda.models", {}),
        ("conda.models.version", {"VersionOrder": _VersionOrder}),
    ):
        module = ModuleType(name)
        vars(module).update(contents)
        sys.modules[name] = module


def main(folder: str, options: str) -> None:
    """Write whatever conda-index writes for the options."""
    _stand_in_for_conda()
    indexing = import_module("conda_index.index")
    settings = json.loads(options)
    patch = settings.pop("patch_generator", None)
    defaults = {"write_bz2": True, "write_run_exports": True, "write_current_repodata": False}
    index = indexing.ChannelIndex(
        folder, None, threads=1, write_zst=True, write_shards=True, **{**defaults, **settings}
    )
    index.index(patch_generator=patch)
    if settings.get("write_monolithic", True):  # channeldata.json is made of repodata.json
        index.update_channeldata(rss=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
