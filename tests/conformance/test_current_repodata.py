"""``current_repodata.json`` has what clients look for in it first."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

import msgspec
import pytest
from rattler import MatchSpec, PackageRecord
from rattler.exceptions import InvalidMatchSpecError
from rattler.package import BuildString

from sluice.conda.match_spec_eval import Match
from tests.conformance.conda_choice import Choice, CondaMissing, conda_source
from tests.conformance.current_repodata import (
    CAUSES,
    PAGE,
    RECORDED,
    RECORDED_CHANNELS,
    Cause,
    Channel,
    chosen_by_sluice,
    has_cause,
    without_specs,
)
from tests.conformance.made_up_channels import channel
from tests.support.candidate import MadeUpCandidate, match_of

CHANNELS = range(40)
_PRE_RELEASE = re.compile(r"\d(a|rc)")
"""Not looked for: rattler has them in more series than conda, see the test of that."""


def records_of(made: Channel) -> dict[str, PackageRecord]:
    """All packages by filename, for rattler."""
    return {
        filename: PackageRecord(
            record["name"],
            record["version"],
            BuildString(record["build"]),
            record["build_number"],
            record["subdir"],
        )
        for archive in ("packages", "packages.conda")
        for filename, record in made[archive].items()
    }


def test_what_conda_chose_of_the_recorded_channels_is_chosen() -> None:
    """Recorded by ``make conda-conformance``, with which conda's own source chooses."""
    recorded = msgspec.json.decode(RECORDED.read_bytes(), type=list[Choice])
    assert len(recorded) == RECORDED_CHANNELS
    for number, choice in enumerate(recorded):
        made = without_specs(channel(number), has_cause)
        readable = without_specs(made, frozenset(choice.rejected).__contains__)
        assert chosen_by_sluice(readable) == choice.chosen, number


@pytest.mark.parametrize("number", CHANNELS)
def test_what_rattler_finds_for_a_chosen_package_in_the_whole_index_is_there_too(
    number: int,
) -> None:
    made = channel(number)
    chosen = set(chosen_by_sluice(made))
    records = records_of(made)
    newest = _versions_of_the_newest(records)
    asking = [
        spec
        for archive in ("packages", "packages.conda")
        for filename, record in made[archive].items()
        if filename in chosen and record["version"] == newest[record["name"]]
        for spec in record["depends"]
    ]
    missing = [spec for spec in asking if _is_missing(spec, records, chosen)]
    assert missing == []


def test_rattler_has_a_pre_release_in_a_series_that_is_longer_than_its_version() -> None:
    """Once this fails, rattler does as conda, and nothing is left out above."""
    record = PackageRecord("a", "1.0rc1", BuildString("0"), 0, "linux-64")
    assert MatchSpec("a 1.0.0.*").matches(record)
    assert match_of("a 1.0.0.*", MadeUpCandidate("1.0rc1")) is Match.NO


def _versions_of_the_newest(records: dict[str, PackageRecord]) -> dict[str, str]:
    newest: dict[str, PackageRecord] = {}
    for record in records.values():
        name = record.name.normalized
        if name not in newest or record.version > newest[name].version:
            newest[name] = record
    return {name: str(record.version) for name, record in newest.items()}


def _is_missing(spec: str, records: dict[str, PackageRecord], chosen: set[str]) -> bool:
    try:
        asks_for = MatchSpec(spec).matches
    except InvalidMatchSpecError:
        return False  # rattler installs no package that depends on it
    found = {filename for filename, record in records.items() if asks_for(record)}
    return not found & chosen and any(
        not _PRE_RELEASE.search(str(records[filename].version)) for filename in found
    )


def test_a_made_up_channel_is_the_same_on_every_machine() -> None:
    """Else what was recorded is of other channels."""
    encoded = [msgspec.json.encode(channel(number), order="sorted") for number in (0, 1999)]
    assert [hashlib.sha256(each).hexdigest()[:8] for each in encoded] == [
        "8702dcc9",
        "cbb14c4f",
    ]


@pytest.mark.parametrize("cause", CAUSES, ids=[cause.what for cause in CAUSES])
def test_the_page_says_why_conda_chooses_otherwise(cause: Cause) -> None:
    page = PAGE.read_text()
    assert f"### A spec with {cause.what}" in page
    assert cause.why in page


def test_without_a_checkout_of_conda_the_comparison_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CondaMissing, match="CONDA_SOURCE is not set: clone"):
        conda_source({})
    with pytest.raises(CondaMissing, match="no checkout of conda"):
        conda_source({"CONDA_SOURCE": str(tmp_path)})
    (tmp_path / "conda" / "models").mkdir(parents=True)
    (tmp_path / "conda" / "models" / "match_spec.py").touch()
    with pytest.raises(CondaMissing, match="git knows no commit"):
        conda_source({"CONDA_SOURCE": str(tmp_path)})


def test_a_checkout_of_conda_is_named_by_its_commit(tmp_path: Path) -> None:
    (tmp_path / "conda" / "models").mkdir(parents=True)
    (tmp_path / "conda" / "models" / "match_spec.py").touch()
    git = ("git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=n@example.com")
    for command in (("init", "-q"), ("add", "."), ("commit", "-qm", "Begin")):
        subprocess.run([*git, *command], check=True)
    source = conda_source({"CONDA_SOURCE": str(tmp_path)})
    assert source.folder == tmp_path
    assert len(source.commit) == len("0f64223fb8da4328457a69fe6483959dbb783152")
