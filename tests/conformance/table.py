"""The table of ``docs/conformance.md``: what each indexer was seen to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.conformance.features import FEATURES, Feature
from tests.conformance.indexers import INDEXERS, Outcome
from tests.conformance.published import Published
from tests.conformance.tasks import TASKS

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
Outcomes = Mapping[tuple[str, str], Outcome]
"""By name of the task and name of the indexer."""

_HEAD = """\
# Conformance

What each of three indexers makes of the same packages. This page is generated: `make conformance`
runs all three over the channels of `tests/conformance/tasks.py` and looks for every feature in the
files that they wrote (`tests/conformance/features.py`). There is a tick only where that check
passed, and `make test` fails where the page says something else than was seen.

What sluice and conda choose for `current_repodata.json` is compared on a page of its own:
[conformance-conda.md](conformance-conda.md).

| feature | source | """
_FOOT = """
Seen with rattler-index as it is in py-rattler {rattler}, through `rattler.index.index_fs` with an
`[index-config]`, and conda-index {conda_index} from PyPI with everything switched on that it can
write.

conda-index needs conda, which PyPI has only in versions of long ago. What it needs of it is stood
in for (the names of the subdirs, an order of versions), but for conda's solver: so
`current_repodata.json`, which conda-index writes where conda is installed, has no tick here, and
its list of versions to keep in there (`--current-index-versions-file`) has no row.

Nor have things that no published file shows: rattler-index's warnings of times of building that lie
in the future (CEP 47), its headers for caches on S3 and its `--force`; conda-index's PostgreSQL,
its `--update-only` and its stages for packages that lie elsewhere.
"""


def run(folder: Path) -> dict[tuple[str, str], Outcome]:
    """Have every task done by every indexer."""
    return {
        (task, name): index(TASKS[task], folder / f"{number}-{name}")
        for number, task in enumerate(TASKS)
        for name, index in INDEXERS.items()
    }


def holds(feature: Feature, outcome: Outcome) -> bool:
    """Tell whether an indexer has a feature."""
    try:
        feature.check(Published(outcome.files))
    except (AssertionError, KeyError):
        return False
    return True


def render(outcomes: Outcomes, versions: Mapping[str, str]) -> str:
    """The whole page; ``versions`` has ``rattler`` and ``conda_index``."""
    head = " | ".join(INDEXERS)
    lines = [f"{_HEAD}{head} |", "|" + "---|" * 2 + ":-:|" * len(INDEXERS), *_rows(outcomes)]
    return "\n".join(lines) + "\n" + _FOOT.format(**versions)


def _rows(outcomes: Outcomes) -> Iterator[str]:
    for feature in FEATURES:
        ticks = " | ".join(
            "✓" if holds(feature, outcomes[feature.task, name]) else "" for name in INDEXERS
        )
        yield f"| {feature.what} | {feature.source} | {ticks} |"
