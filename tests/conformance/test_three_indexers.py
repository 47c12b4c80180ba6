"""The same channels, indexed by all three: the same files, but for tables of differences.

``test_rattler_index.py`` has many more packages, and none of what needs a configuration.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.accepted import MISSING, Accepted, Difference, differences
from tests.conformance.indexers import CONDA_INDEX, INDEXERS, Task
from tests.conformance.published import Published
from tests.conformance.tasks import TASKS

_NO_DIFFERENCE: list[Difference] = []


def _only_ours(ours: Any, theirs: Any) -> bool:
    return ours is not MISSING and theirs is MISSING


def _only_theirs(ours: Any, theirs: Any) -> bool:
    return ours is MISSING and theirs is not MISSING


def _empty_or_absent(ours: Any, theirs: Any) -> bool:
    return all(not one or one is MISSING for one in (ours, theirs))


def _both(kind: type) -> Any:
    return lambda ours, theirs: isinstance(ours, kind) and isinstance(theirs, kind)


def _revoked(ours: Any, theirs: Any) -> bool:
    return bool(ours == [*theirs, "package_has_been_revoked"])


def _without_yanked(ours: Any, theirs: Any) -> bool:
    return bool(sorted({*ours, "yanked"}) == theirs)


_FENCE = "the fence: generation and tree (clients ignore the key)"
_LISTS = "both lists are always there, for readers that do not check"
_REMOVED = "rattler-index lists what a patch removes, and leaves it in"

WITH_RATTLER = (
    Accepted(("record", "constrains"), _empty_or_absent, _LISTS),
    Accepted(("record", "indexed_timestamp"), _both(int), "each has its own clock"),
    Accepted(("record", "run_exports"), _only_theirs, "it has them in repodata.json, see CEP 12"),
    Accepted(("record", "run_exports"), _empty_or_absent, "CEP 21: in shards, {} where none"),
    Accepted(("record", "future"), _only_ours, "it drops keys that it does not know"),
    Accepted(("record", "depends"), _revoked, "it ignores revoke"),
    Accepted(("record", "revoked"), _only_ours, "the same"),
    Accepted(("repodata.json", "packages.conda", "*"), _only_theirs, _REMOVED),
    Accepted(("shard index", "shards"), _without_yanked, "the same"),
    Accepted(("repodata.json", "removed"), _empty_or_absent, "CEP 36 has it; ours always"),
    Accepted(("repodata_from_packages.json", "removed"), _empty_or_absent, "the same"),
    Accepted(("repodata.json", "v3"), _empty_or_absent, "CEP 48; empty"),
    Accepted(("repodata_from_packages.json", "v3"), _empty_or_absent, "the same"),
    *(
        Accepted((file, "info", "repodata_revisions", "v3", end), _both(int), "its own clock")
        for file in ("repodata.json", "repodata_from_packages.json", "shard index")
        for end in ("newest", "oldest")
    ),
    Accepted(("shard index", "info", "created_at"), _both(str), "its own clock"),
    Accepted(("shard index", "info", "sluice"), _only_ours, _FENCE),
    Accepted(("shard index", "version"), _only_ours, "CEP 16 has it"),
    Accepted(("shard", "at"), _only_ours, "keeps a shard's name from recurring"),
    Accepted(("repodata.json", "sluice"), _only_ours, _FENCE),
    Accepted(("repodata_from_packages.json", "sluice"), _only_ours, _FENCE),
    Accepted(("notices.json", "sluice"), _only_ours, _FENCE),
)
WITH_CONDA_INDEX = (
    Accepted(("record", "constrains"), _empty_or_absent, _LISTS),
    Accepted(("record", "depends"), _empty_or_absent, _LISTS),
    Accepted(("record", "indexed_timestamp"), _only_ours, "CEP 47"),
    Accepted(("record", "md5"), _both(str), "it lets patches change digests and sizes"),
    Accepted(("record", "sha256"), _both(str), "the same"),
    Accepted(("record", "size"), _both(int), "the same"),
    Accepted(("repodata.json", "info", "base_url"), _both(str), "it appends the subdir"),
    Accepted(("repodata.json", "info", "channel_relations"), _only_ours, "CEP 42"),
    Accepted(("shard index", "info", "base_url"), _both(str), "it appends the subdir"),
    Accepted(("shard index", "info", "channel_relations"), _only_ours, "CEP 42"),
    Accepted(("shard index", "info", "created_at"), _both(str), "its own clock"),
    Accepted(("shard index", "info", "shards_base_url"), _both(str), "ours are in a folder"),
    Accepted(("shard index", "info", "sluice"), _only_ours, _FENCE),
    Accepted(("shard index", "shards"), _without_yanked, "it keeps a shard of no packages"),
    Accepted(("shard", "at"), _only_ours, "keeps a shard's name from recurring"),
    Accepted(("shard", "removed"), _empty_or_absent, "CEP 16 has it; ours always"),
    Accepted(("run_exports.json", "info", "arch"), _only_ours, "CEP 12 has it"),
    Accepted(("run_exports.json", "info", "platform"), _only_ours, "CEP 12 has it"),
    Accepted(("patch_instructions.json", "v3"), _empty_or_absent, "CEP 48; empty"),
    Accepted(
        ("channeldata.json", "packages", "*", "timestamp"),
        _both(int),
        "it takes that of whichever version it happens to look at last",
    ),
    *(
        Accepted((file, "sluice"), _only_ours, _FENCE)
        for file in (
            "channeldata.json",
            "patch_instructions.json",
            "repodata.json",
            "repodata_from_packages.json",
            "run_exports.json",
        )
    ),
)
"""Compared in full only where both do what is asked for; ``features.py`` has the rest."""

COMPARED = {
    "rattler-index": (
        WITH_RATTLER,
        ("plain", "patched", "patched in v3", "modern", "elsewhere", "related"),
    ),
    "conda-index": (WITH_CONDA_INDEX, ("plain", "patched", "elsewhere", "related")),
}


@pytest.fixture(
    scope="module",
    params=[
        "rattler-index",
        pytest.param(
            "conda-index",
            marks=pytest.mark.skipif(
                not CONDA_INDEX.is_dir(), reason="conda-index is not installed: make conda-index"
            ),
        ),
    ],
)
def peer(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def found(peer: str, tmp_path_factory: pytest.TempPathFactory) -> list[Difference]:
    """Every place where the two differ, in files that both write."""
    folder = tmp_path_factory.mktemp("channels")
    return [
        one
        for number, task in enumerate(COMPARED[peer][1])
        for one in _compare(peer, TASKS[task], folder / str(number))
    ]


def test_they_differ_only_as_accepted(peer: str, found: list[Difference]) -> None:
    rules = COMPARED[peer][0]
    assert [one for one in found if not any(map(_covers(one), rules))] == _NO_DIFFERENCE


def test_every_accepted_difference_is_there(peer: str, found: list[Difference]) -> None:
    """A rule that nothing needs any more would hide the next difference."""
    rules = COMPARED[peer][0]
    assert [rule for rule in rules if not any(map(rule.covers, found))] == []


def _covers(one: Difference) -> Any:
    return lambda rule: rule.covers(one)


def _compare(peer: str, task: Task, folder: Path) -> Iterator[Difference]:
    ours = _documents(Published(INDEXERS["sluice"](task, folder).files))
    theirs = _documents(Published(INDEXERS[peer](task, folder).files))
    for path in ours.keys() & theirs.keys():
        for one in differences(ours[path], theirs[path]):
            yield one._replace(path=_where(path, one.path))


def _documents(published: Published) -> dict[str, Any]:
    """Every file that can be compared, by path; shards by the name of their package."""
    found = {
        path: json.loads(body) for path, body in published.files.items() if path.endswith(".json")
    }
    for subdir in ("linux-64", "noarch"):
        if f"{subdir}/repodata.json" not in published.files:
            continue
        index = published.shard_index(subdir)
        found[f"{subdir}/shard index"] = {**index, "shards": sorted(index["shards"])}
        for name, shard in published.shards(subdir).items():
            found[f"{subdir}/{name}/shard"] = shard
    return found


def _where(file: str, path: tuple[str, ...]) -> tuple[str, ...]:
    """The place of a difference, as the tables have it: the same for all records."""
    name = file.rpartition("/")[2]
    if name == "channeldata.json":
        return (name, *path[:1], *("*" for _ in path[1:2]), *path[2:])
    of_record = {"packages": 1, "packages.conda": 1, "v3": 2}.get(path[0], len(path))
    if len(path) <= of_record:
        return (name, *path)
    within = path[of_record + 1 :]
    return ("record", *within) if within else (name, *path[:of_record], "*")
