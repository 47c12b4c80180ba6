"""rattler, the strictest client, parses every record that we accept."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rattler
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rattler.exceptions import InvalidVersionError

from sluice.errors import BadPackage
from sluice.keys import PackageKey, Subdir
from sluice.package.digests import Digests
from sluice.package.forms import FORMS
from sluice.record import DROPPED, OURS, make_record

FILENAME = "demo-1.0-h1_0.conda"
DIGESTS = Digests("a" * 64, None, "read", None)
KEY = PackageKey(Subdir("", "noarch"), FILENAME)
INDEX: dict[str, Any] = {"name": "demo", "version": "1.0", "build": "h1_0", "build_number": 0}

UNUSUAL: list[dict[str, Any]] = [
    {},
    {"build_number": 2**64 - 1},
    {"noarch": True},
    {"noarch": False},
    {"noarch": ""},
    {"noarch": "generic"},
    {"track_features": ""},
    {"track_features": "a b,c"},
    {"track_features": ["a", "b"]},
    {"features": "mkl", "license_family": "", "date": "2015-01-01", "preferred_env": "_x_"},
    {"timestamp": 0},
    {"timestamp": 253_402_207_200},
    {"timestamp": 253_402_300_800},
    {"timestamp": 253_402_207_200_000},
    {"depends": ["", "foo (((", "x" * 99]},
    {"purls": ["pkg:pypi/a", "pkg:npm/%40a/b@1.0?x=y#c", "pkg:generic/a@1+2"]},
    {"purls": []},
    {"legacy_bz2_md5": "0" * 32, "legacy_bz2_size": 1},
    {"python_site_packages_path": "lib/python3.13/site-packages"},
    {"extra_depends": {}, "flags": [], "repodata_revision": 0},
    {"unknown": {"a": [1e300, -(2**63), 2**64 - 1, None]}, "signatures": [], "info": 1},
    {"depends": None, "constrains": None, "license": None, "noarch": None, "purls": None},
]


def parsed_by_rattler(record: dict[str, Any], folder: Path) -> Any:
    path = folder / "repodata.json"
    repodata = {"info": {"subdir": "noarch"}, "packages": {}, "packages.conda": {FILENAME: record}}
    path.write_text(json.dumps(repodata))
    (found,) = rattler.RepoData.from_path(path).into_repo_data(rattler.Channel("test"))
    return found


def record(stated: dict[str, Any], *, md5: str | None = None) -> dict[str, Any]:
    return make_record(INDEX | stated, KEY, size=7, digests=replace(DIGESTS, md5=md5))


@pytest.mark.parametrize("stated", UNUSUAL, ids=lambda stated: ",".join(stated) or "least")
@pytest.mark.parametrize("md5", [None, "b" * 32])
def test_unusual_records_are_parsed(
    stated: dict[str, Any], md5: str | None, tmp_path: Path
) -> None:
    found = parsed_by_rattler(record(stated, md5=md5), tmp_path)
    assert (found.name.normalized, str(found.version), str(found.build)) == (
        "demo",
        "1.0",
        "h1_0",
    )
    assert (found.size, found.subdir, found.sha256) == (7, "noarch", bytes.fromhex("a" * 64))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["python", "pkg:pypi/a", "pkg:a/b@1?c=d#e", "0" * 32]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(sorted({*FORMS, *DROPPED, *OURS, "x"} - {"name", "version", "build"}))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.dictionaries(KEYS, VALUES, min_size=1))
def test_any_record_that_we_accept_is_parsed(tmp_path: Path, stated: dict[str, Any]) -> None:
    try:
        accepted = record(stated)
    except BadPackage:
        return
    parsed_by_rattler(accepted, tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.integers() | st.integers(253_402_000_000, 253_403_000_000))
def test_any_timestamp_that_we_accept_is_parsed(tmp_path: Path, timestamp: int) -> None:
    try:
        accepted = record({"timestamp": timestamp})
    except BadPackage:
        return
    parsed_by_rattler(accepted, tmp_path)


PURLS = st.from_regex(r"pkg:[a-z/]{1,5}/[a-zA-Z%0-9/@?#=&.]{1,12}", fullmatch=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(PURLS)
def test_any_package_url_that_we_accept_is_parsed(tmp_path: Path, purl: str) -> None:
    try:
        accepted = record({"purls": [purl]})
    except BadPackage:
        return
    parsed_by_rattler(accepted, tmp_path)


@given(st.from_regex(r"[0-9a-z._+!]{1,12}", fullmatch=True))
def test_a_version_is_accepted_exactly_if_rattler_reads_it(version: str) -> None:
    try:
        rattler.Version(version)
        readable = True
    except InvalidVersionError:
        readable = False
    key = PackageKey(Subdir("", "noarch"), f"demo-{version}-h1_0.conda")
    try:
        make_record(INDEX | {"version": version}, key, size=7, digests=DIGESTS)
        accepted = True
    except BadPackage:
        accepted = False
    assert accepted == readable or (readable and beyond_cep_33(version))


def beyond_cep_33(version: str) -> bool:
    """Runs of digits that rattler can hold, but not every client."""
    return any(int(run) >= 2**31 for run in re.findall("[0-9]+", version))
