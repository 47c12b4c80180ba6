"""Have conda-index choose for ``current_repodata.json``: a list of ``repodata.json`` on stdin.

Writes a list on stdout: per channel the chosen filenames, and the match specs that conda rejects.
One of these would end conda-index, so they are taken out of the packages before.

Runs in an environment of its own, see ``requirements/conda.in``, with conda's source on the path,
and imports nothing of ours.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from importlib import import_module
from typing import Any


def _is_rejected(spec: str) -> bool:
    """Whether conda cannot parse a spec, or not compare a version with it."""
    error = import_module("conda.exceptions").CondaError
    try:
        matcher = import_module("conda.models.match_spec").MatchSpec(spec).version
        # "|" ends at the first clause that matches, "," at the first that does not.
        for version in ("0", "9!9") if matcher else ():
            matcher.match(version)
    except error:
        return True
    return False


def _choose(channel: dict[str, Any]) -> dict[str, list[str]]:
    records = [*channel["packages"].values(), *channel["packages.conda"].values()]
    specs = {spec for record in records for spec in record["depends"]}
    rejected = {spec for spec in specs if _is_rejected(spec)}
    for record in records:
        record["depends"] = [spec for spec in record["depends"] if spec not in rejected]
    build = import_module("conda_index.index.current_repodata").build_current_repodata
    current = build(channel["info"]["subdir"], channel, None)
    return {
        "chosen": sorted([*current["packages"], *current["packages.conda"]]),
        "rejected": sorted(rejected),
    }


def main() -> None:
    """Choose for each channel on its own."""
    logging.disable()
    warnings.simplefilter("ignore")
    json.dump([_choose(channel) for channel in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
