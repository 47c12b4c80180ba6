"""rattler, the strictest client, reads an index that was taken over, whatever its records were."""

from __future__ import annotations

import json
from enum import Enum, auto
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rattler
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rattler.exceptions import InvalidVersionError

from sluice.conda.record import DROPPED_FIELDS, SLUICE_FIELDS
from sluice.conda.record_fields import FIELD_RULES
from sluice.layout import REPODATA
from sluice.takeover.normalize import normalize_record
from tests.support.staging_records import A, B, record_of
from tests.support.subdir_world import World, foreign_repodata

LEAST: dict[str, Any] = {"name": "alpha", "version": "1.0", "build": "0", "build_number": 0}


class Missing(Enum):
    """For keys that are not there: shown alike in every process, since names of tests show it."""

    MISSING = auto()


MISSING: Any = Missing.MISSING

PLAIN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"timestamp": 1719972900.0}, {"timestamp": 1719972900}),
    ({"timestamp": "1719972900000"}, {"timestamp": 1719972900000}),
    ({"timestamp": "yesterday"}, {"timestamp": MISSING}),
    ({"timestamp": 1.5}, {"timestamp": MISSING}),
    ({"indexed_timestamp": 1719972900000.0}, {"indexed_timestamp": 1719972900000}),
    ({"noarch": "null"}, {"noarch": MISSING}),
    ({"noarch": "None"}, {"noarch": MISSING}),
    ({"noarch": "Python"}, {"noarch": "python"}),
    ({"depends": "python"}, {"depends": ["python"]}),
    ({"depends": None}, {"depends": []}),
    ({"depends": {}}, {"depends": []}),
    ({"constrains": ""}, {"constrains": []}),
    ({"build_number": "0"}, {"build_number": 0}),
    ({"build_number": 0.0}, {"build_number": 0}),
    ({"build_number": MISSING}, {"build_number": 0}),
    ({"version": 1.0}, {"version": "1.0"}),
    ({"version": MISSING}, {"version": "1.0"}),
    ({"name": None}, {"name": "alpha"}),
    ({"build": 0}, {"build": "0"}),
    ({"license": ["MIT"]}, {"license": "MIT"}),
    ({"license": ["MIT", "BSD"]}, {"license": MISSING}),
    ({"license": {}}, {"license": MISSING}),
    ({"size": "7"}, {"size": 7}),
    ({"size": 7.0}, {"size": 7}),
    ({"arch": 64}, {"arch": MISSING}),
    ({"subdir": None}, {"subdir": MISSING}),
    ({"purls": "pkg:pypi/a"}, {"purls": ["pkg:pypi/a"]}),
    ({"purls": ["nothing"]}, {"purls": MISSING}),
    ({"flags": None}, {"flags": MISSING}),
    ({"extra_depends": {"g": "x"}}, {"extra_depends": {"g": ["x"]}}),
    ({"extra_depends": []}, {"extra_depends": MISSING}),
    ({"md5": ""}, {"md5": MISSING}),
    ({"md5": "none", "sha256": "ab" * 32}, {"md5": MISSING, "sha256": "ab" * 32}),
    ({"sha256": [171] * 32}, {"sha256": "ab" * 32}),
    ({"legacy_bz2_md5": 7}, {"legacy_bz2_md5": MISSING}),
    ({"attestations_sha256": "x"}, {"attestations_sha256": MISSING}),
    ({"track_features": None}, {"track_features": MISSING}),
]
READABLE: list[dict[str, Any]] = [
    {"license": None, "timestamp": None, "md5": None, "noarch": None, "purls": None, "arch": None},
    {"version": "1.0-2A"},
    {"track_features": ["a", "b"]},
    {"sha256": "AB" * 32},
    {"unknown": {"a": [None]}},
]
UNREADABLE: list[dict[str, Any]] = [
    {"version": ".post"},
    {"version": 2},
    {"version": ["1.0"]},
    {"name": 5},
    {"depends": 5},
    {"depends": ["a", None]},
    {"depends": {"a": 1}},
    {"constrains": [["a"]]},
    {"build_number": "first"},
    {"build_number": -1},
    {"build_number": True},
    {"build_number": 1.5},
    {"noarch": "java"},
    {"noarch": 1},
    {"sha256": "none"},
    {"md5": "none"},
    {"features": 5},
    {"track_features": 5},
    {"python_site_packages_path": ["a", "b"]},
    {"flags": ["Not A Flag"]},
    {"extra_depends": {"G!": []}},
]


def is_parsed(records: dict[str, dict[str, Any]], folder: Path) -> bool:
    path = folder / "repodata.json"
    path.write_text(json.dumps({"info": {"subdir": "noarch"}, "packages.conda": records}))
    parsed = rattler.RepoData.from_path(path).into_repo_data(rattler.Channel("test"))
    return len(parsed) == len(records)


def stated(change: dict[str, Any]) -> bytes:
    record = {key: value for key, value in {**LEAST, **change}.items() if value is not MISSING}
    return json.dumps(record).encode()


@pytest.mark.parametrize(("change", "becomes"), PLAIN, ids=str)
def test_a_value_whose_meaning_is_plain_is_put_right(
    change: dict[str, Any], becomes: dict[str, Any], tmp_path: Path
) -> None:
    normalized = normalize_record(stated(change), filename=A)
    assert normalized.record is not None
    assert {key: normalized.record.get(key, MISSING) for key in becomes} == becomes
    assert normalized.changes
    assert is_parsed({A: normalized.record}, tmp_path)


@pytest.mark.parametrize("change", READABLE, ids=str)
def test_a_record_that_clients_can_read_stays_as_it_is(
    change: dict[str, Any], tmp_path: Path
) -> None:
    normalized = normalize_record(stated(change), filename=A)
    assert normalized.changes == ()
    assert normalized.record is not None
    assert is_parsed({A: normalized.record}, tmp_path)


@pytest.mark.parametrize("change", UNREADABLE, ids=str)
def test_a_record_whose_meaning_is_not_plain_is_left_out(change: dict[str, Any]) -> None:
    normalized = normalize_record(stated(change), filename=A)
    assert normalized.record is None
    assert normalized.problem


@pytest.mark.parametrize("change", [*(change for change, _ in PLAIN), *UNREADABLE], ids=str)
def test_what_is_done_to_a_record_is_warned_of_and_the_index_can_be_read(
    change: dict[str, Any], tmp_path: Path
) -> None:
    world = World()
    world.upload(A)
    index = foreign_repodata({A: json.loads(stated(change))}, subdir="linux-64")
    world.channel.upload(world.subdir.file_key(REPODATA), json.dumps(index).encode())
    world.add(B)
    world.merge()
    document = json.loads(world.state.body(world.subdir.rejects_key))
    (warning,) = document["warnings"]
    assert document["rejects"] == []
    assert warning["filename"] == A
    assert warning["code"] in ("record-normalized", "record-left-out")
    assert "reject" not in warning["sentence"]
    published = json.loads(world.body())
    in_v3 = {f"{stem}.conda" for stem in published.get("v3", {}).get("conda", {})}
    is_published = A in published["packages.conda"].keys() | in_v3
    assert is_published == (warning["code"] == "record-normalized")
    path = tmp_path / "repodata.json"
    path.write_bytes(world.body())
    parsed = rattler.RepoData.from_path(path).into_repo_data(rattler.Channel("test"))
    assert len(parsed) == 1 + is_published


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=6)
    | st.sampled_from(["0", "1.0", "python", "true", "pkg:pypi/a", "ab" * 16, "ab" * 32]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=2),
    max_leaves=4,
)
KEYS = st.sampled_from(
    sorted({*FIELD_RULES, *DROPPED_FIELDS, *SLUICE_FIELDS, "attestations_sha256"} - {"run_exports"})
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.dictionaries(KEYS, JSON, min_size=1), st.sampled_from([A, None]))
@example({"version": "1.0-2_3"}, A)
def test_whatever_a_record_says_rattler_reads_what_is_taken_over(
    tmp_path: Path, change: dict[str, Any], filename: str | None
) -> None:
    raw = msgspec.json.encode({**record_of(A, b""), **change})
    normalized = normalize_record(raw, filename=filename)
    assert (normalized.record is None) == (normalized.problem is not None)
    if normalized.record is not None:
        assert is_parsed({A: normalized.record}, tmp_path)


@given(st.from_regex(r"[0-9a-zA-Z._+!-]{1,10}", fullmatch=True))
@example("0---")
@example("0___")
@example("1.-")
@example("1._")
@example("1-_")
def test_a_version_is_taken_over_exactly_if_rattler_reads_it(version: str) -> None:
    try:
        rattler.Version(version)
        readable = True
    except InvalidVersionError:
        readable = False
    normalized = normalize_record(stated({"version": version}), filename=None)
    assert (normalized.record is not None) == readable
