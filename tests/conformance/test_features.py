"""``docs/conformance.md`` says what is: the three indexers are run for it."""

from __future__ import annotations

import pytest

from tests.conformance.features import FEATURES
from tests.conformance.indexers import CONDA_INDEX, INDEXERS, Outcome, versions
from tests.conformance.table import PAGE, holds, render, run
from tests.conformance.tasks import TASKS

pytestmark = pytest.mark.skipif(
    not CONDA_INDEX.is_dir(), reason="conda-index is not installed: run make conda-index"
)

NOT_OURS = [
    "shards alone, without a `repodata.json`",
    "`repodata.json` on many lines, for people",
    "`repodata_shards_from_packages.msgpack.zst`: the same in shards",
    "`repodata_from_packages.json.bz2`, `run_exports.json.bz2`",
    "records name the attestations that lie beside a package",
    "`index.html` of each subdir: every file",
    "and what each package depends on",
]
"""What sluice leaves to others."""
GIVE_UP = {
    ("broken", "rattler-index"): "Could not open conda file",
    ("patched by version 2", "conda-index"): "Incompatible patch instructions version",
    ("patched in v3", "conda-index"): "Incompatible patch instructions version",
}
"""Which indexers end with an error over which channels."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Outcome]:
    return run(tmp_path_factory.mktemp("channels"))


def test_indexers_give_up_only_where_that_is_known(
    outcomes: dict[tuple[str, str], Outcome],
) -> None:
    errors = {which: one.error for which, one in outcomes.items() if one.error is not None}
    assert errors.keys() == GIVE_UP.keys()
    assert [errors[which] for which, why in GIVE_UP.items() if why not in str(errors[which])] == []


def test_sluice_has_every_feature_but_those_of_other_tools(
    outcomes: dict[tuple[str, str], Outcome],
) -> None:
    missing = [
        feature.what for feature in FEATURES if not holds(feature, outcomes[feature.task, "sluice"])
    ]
    assert missing == NOT_OURS


def test_every_check_is_passed_by_somebody(outcomes: dict[tuple[str, str], Outcome]) -> None:
    """One that nobody passes would say nothing."""
    idle = [
        feature.what
        for feature in FEATURES
        if not any(holds(feature, outcomes[feature.task, name]) for name in INDEXERS)
    ]
    assert idle == []


def test_no_check_is_passed_by_a_channel_without_files() -> None:
    assert [feature.what for feature in FEATURES if holds(feature, Outcome({}))] == []


def test_every_channel_is_looked_at() -> None:
    assert {feature.task for feature in FEATURES} == set(TASKS)


def test_the_page_is_up_to_date(outcomes: dict[tuple[str, str], Outcome]) -> None:
    assert PAGE.read_text() == render(outcomes, versions()), "run make conformance"
