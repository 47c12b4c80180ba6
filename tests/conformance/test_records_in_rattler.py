"""rattler, the strictest client, parses every record that we accept, where clients find it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rattler
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rattler.exceptions import InvalidMatchSpecError, InvalidVersionError

from sluice.catalog.client_view import NO_RULES, ClientView, render_view
from sluice.catalog.entry import Record
from sluice.conda.digests import Digests
from sluice.conda.match_spec import bracketed_spec
from sluice.conda.record import DROPPED_FIELDS, SLUICE_FIELDS, make_record
from sluice.conda.record_fields import FIELD_RULES
from sluice.conda.revision import LEGACY, V3, required_revision
from sluice.errors import BadPackage
from sluice.extract import extract
from sluice.layout import PackageKey, Subdir
from sluice.storage.object_id import ObjectId

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
    {"extra_depends": {"gpu": ["cuda[version='>=12']"], "x" * 64: [], "a.b+c-d_0": ["", "((("]}},
    {"flags": ["cuda", "blas:mkl", "_0"]},
    {"depends": ['demo[version=">=1", extras=[test], flags=["blas:*"], when="python <3"]']},
    {"constrains": ["demo[flags=[cuda"], "depends": ["demo[when=((]"]},
    {"repodata_revision": 3},
    {"schema_version": 3},
    {"unknown": {"a": [1e300, -(2**63), 2**64 - 1, None]}, "signatures": [], "info": 1},
    {"depends": None, "constrains": None, "license": None, "noarch": None, "purls": None},
]


def shown(record: dict[str, Any]) -> ClientView:
    """What clients see of the package."""
    entry = Record(
        identity=ObjectId("", 0, 7),
        extractor=extract.EXTRACTOR_VERSION,
        record=record,
        digests_from={"sha256": "read", "md5": None},
    )
    return render_view({FILENAME: entry}, NO_RULES)


def parsed_by_rattler(record: dict[str, Any], folder: Path) -> Any:
    found = shown(record)
    repodata = {"info": {"subdir": "noarch"}, "packages": {}, "packages.conda": found.records}
    path = folder / "repodata.json"
    path.write_text(json.dumps({**repodata, "v3": found.v3} if found.v3 else repodata))
    (parsed,) = rattler.RepoData.from_path(path).into_repo_data(rattler.Channel("test"))
    return parsed


def record(stated: dict[str, Any], *, md5: str | None = None) -> dict[str, Any]:
    return make_record(
        INDEX | stated, KEY.filename, KEY.subdir.name, size=7, digests=replace(DIGESTS, md5=md5)
    )


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


@pytest.mark.parametrize(
    "stated",
    [
        {"extra_depends": {"gpu": ['cuda[version=">=12"]'], "test": []}},
        {"flags": ["cuda", "blas:mkl"]},
        {"depends": ["demo[extras=[test]]"]},
        {"constrains": ['demo[when="python <3"]']},
        {"depends": ["demo[flags=[cuda]]"], "repodata_revision": 3},
    ],
    ids=",".join,
)
def test_what_only_revision_3_can_say_is_read_from_there_as_it_was_said(
    stated: dict[str, Any], tmp_path: Path
) -> None:
    made = record(stated)
    assert (shown(made).records, list(shown(made).v3)) == ({}, ["conda"])
    parsed = parsed_by_rattler(made, tmp_path)
    said = {"constrains": [], "depends": [], "extra_depends": {}, "flags": []} | stated
    said.pop("repodata_revision", None)
    assert {key: getattr(parsed, key) for key in said} == said
    assert parsed.url.endswith(f"/noarch/{FILENAME}")


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
KEYS = st.sampled_from(
    sorted({*FIELD_RULES, *DROPPED_FIELDS, *SLUICE_FIELDS, "x"} - {"name", "version", "build"})
)


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


FLAGS = st.lists(st.from_regex(r"[a-z0-9_]{1,5}(:[a-z0-9_]{1,5})?", fullmatch=True))
GROUPS = st.dictionaries(st.from_regex(r"[a-z0-9_.+-]{1,64}", fullmatch=True), st.lists(st.text()))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(FLAGS, GROUPS)
@example(["a"], {"g": ["x ", " y", "python >=3", "\nY\x0cF"]})
def test_all_flags_and_groups_of_the_right_form_are_accepted_and_parsed(
    tmp_path: Path, flags: list[str], groups: dict[str, list[str]]
) -> None:
    parsed = parsed_by_rattler(record({"flags": flags, "extra_depends": groups}), tmp_path)
    assert parsed.flags == flags
    # In the one form that revision 3 allows; blanks around a name are no part of it.
    published = {name: [bracketed_spec(spec) for spec in specs] for name, specs in groups.items()}
    assert parsed.extra_depends == published


WORDS = st.sampled_from(["x", "python", ">=1", "cuda", "blas:*", "when=1", "a,flags=b", "__unix"])
QUOTED = st.builds("{1}{0}{1}".format, WORDS, st.sampled_from(["'", '"', ""]))
LISTS = st.lists(WORDS, min_size=1, max_size=2).map(lambda words: f"[{', '.join(words)}]")
# Lists stand where they mean something: rattler also reads build=[a,flags=b], as a build.
PAIRS = st.tuples(
    st.sampled_from(["version", "build", "url", "extras", "flags", "when", "xwhen"]), QUOTED
) | st.tuples(st.sampled_from(["extras", "flags"]), LISTS)
SPECS = st.builds(
    lambda name, pairs: f"{name}[{', '.join(f'{key}={value}' for key, value in pairs)}]",
    st.sampled_from(["demo", "demo >=1 ", "ch::demo", "flags"]),
    st.lists(PAIRS, max_size=3),
)


@given(SPECS)
def test_a_match_spec_needs_revision_3_exactly_if_rattler_cannot_read_it_without(
    spec: str,
) -> None:
    try:
        rattler.MatchSpec(spec)
    except InvalidMatchSpecError:
        return  # no client reads it, in whichever revision
    try:
        rattler.MatchSpec(spec, extras=False, conditionals=False, flags=False)
        needed = LEGACY
    except InvalidMatchSpecError:
        needed = V3
    assert required_revision({"depends": [spec]}) == needed


@given(st.from_regex(r"[0-9a-z._+!]{1,12}", fullmatch=True))
def test_a_version_is_accepted_exactly_if_rattler_reads_it(version: str) -> None:
    try:
        rattler.Version(version)
        readable = True
    except InvalidVersionError:
        readable = False
    key = PackageKey(Subdir("", "noarch"), f"demo-{version}-h1_0.conda")
    try:
        make_record(
            INDEX | {"version": version}, key.filename, key.subdir.name, size=7, digests=DIGESTS
        )
        accepted = True
    except BadPackage:
        accepted = False
    assert accepted == readable or (readable and beyond_cep_33(version))


def beyond_cep_33(version: str) -> bool:
    """Runs of digits that rattler can hold, but not every client."""
    return any(int(run) >= 2**31 for run in re.findall("[0-9]+", version))
