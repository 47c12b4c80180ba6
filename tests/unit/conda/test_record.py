from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.conda.digests import Digests
from sluice.conda.record import make_record
from sluice.errors import BadPackage
from sluice.layout import PackageKey, Subdir
from sluice.limits import JSON_DEPTH_MAX, RECORD_BYTES_MAX, REJECT_SENTENCE_CHARS_MAX

INDEX: dict[str, Any] = {"name": "demo", "version": "1.0", "build": "h1_0", "build_number": 0}
DIGESTS = Digests("a" * 64, "b" * 32, "read", "read")
RECORD: dict[str, Any] = {
    "build": "h1_0",
    "build_number": 0,
    "constrains": [],
    "depends": [],
    "md5": "b" * 32,
    "name": "demo",
    "sha256": "a" * 64,
    "size": 7,
    "subdir": "noarch",
    "version": "1.0",
}
FILENAME = "demo-1.0-h1_0.conda"


def record(
    index: dict[str, Any], filename: str = FILENAME, subdir: str = "noarch"
) -> dict[str, Any]:
    return make_record(index, filename, subdir, size=7, digests=DIGESTS)


def refusal(index: dict[str, Any], filename: str = FILENAME, subdir: str = "noarch") -> BadPackage:
    with pytest.raises(BadPackage) as refused:
        record(index, filename, subdir)
    return refused.value


def test_the_least_index_json_makes_a_whole_record() -> None:
    assert record(INDEX) == RECORD


def test_the_keys_are_sorted_whatever_their_order_was() -> None:
    backwards = dict(reversed(INDEX.items())) | {"zebra": 1, "alpha": 2}
    assert list(record(backwards)) == sorted([*RECORD, "alpha", "zebra"])


def test_known_and_unknown_keys_are_kept() -> None:
    more = {
        "depends": ["python >=3.11"],
        "constrains": ["foo <2"],
        "license": "MIT",
        "noarch": "python",
        "timestamp": 1_700_000_000_000,
        "track_features": "a b",
        "app": {"nested": [1, None, {"x": 2.5}]},
        "nothing": None,
    }
    assert record(INDEX | more) == RECORD | more


def test_deprecated_keys_and_those_of_clients_are_dropped() -> None:
    dropped = {
        "attestations_sha256": "no digest",
        "arch": "x86_64",
        "platform": None,
        "url": "https://evil.example/x.conda",
        "fn": "other-1-0.conda",
        "channel": "other",
        "run_exports": {"weak": "x"},
    }
    assert record(INDEX | dropped) == RECORD


def test_what_we_determine_is_not_the_packages_to_say() -> None:
    claims = {"sha256": "c" * 64, "md5": 1, "size": "x", "indexed_timestamp": 1}
    assert record(INDEX | claims) == RECORD


def test_an_unknown_md5_is_null() -> None:
    digests = Digests("a" * 64, None, "s3", None)
    key = PackageKey(Subdir("", "noarch"), FILENAME)
    assert make_record(INDEX, key.filename, key.subdir.name, size=7, digests=digests) == RECORD | {
        "md5": None
    }


def test_null_means_absent_for_keys_that_clients_know() -> None:
    nulls = {"depends": None, "license": None, "noarch": None, "subdir": None, "timestamp": None}
    assert record(INDEX | nulls) == RECORD


@pytest.mark.parametrize("subdir", ["noarch", "linux-64"])
def test_the_subdir_is_that_of_the_path(subdir: str) -> None:
    assert record(INDEX, subdir=subdir) == RECORD | {"subdir": subdir}
    assert record(INDEX | {"subdir": subdir}, subdir=subdir) == RECORD | {"subdir": subdir}


@pytest.mark.parametrize(
    ("name", "version", "build", "suffix"),
    [
        ("torch", "2.1+cpu", "py311_0", ".conda"),
        ("x", "1!2.0_rc1", "0", ".tar.bz2"),
        ("_openmp_mutex", "4.5", "2_gnu", ".tar.bz2"),
        ("a-b.c_d", "1.0.1_", "h_0.x+y", ".conda"),
        ("openssl", "1.0.2u", "0", ".conda"),
        ("date", "20240101", "0", ".conda"),
    ],
)
def test_names_that_cep_26_allows_are_accepted(
    name: str, version: str, build: str, suffix: str
) -> None:
    said = {"name": name, "version": version, "build": build}
    assert record(INDEX | said, f"{name}-{version}-{build}{suffix}") == RECORD | said


@pytest.mark.parametrize(
    "version",
    ["1..2", "1.", ".1", "1__2", "1!2!3", "1!", "!1", "a!1", "1+", "1+2+3", "_", "2147483648"],
)
def test_versions_that_clients_cannot_read_are_refused(version: str) -> None:
    refused = refusal(INDEX | {"version": version}, f"demo-{version}-h1_0.conda")
    assert refused.code == "version-invalid"


@pytest.mark.parametrize(
    "filename",
    ["demo.conda", "demo-1.0.conda", "Demo-1.0-0.conda", "demo-1.0-0.zip", "-1.0-0.conda"],
)
def test_filenames_that_cep_26_forbids_are_refused(filename: str) -> None:
    assert refusal(INDEX, filename).code == "filename-invalid"


MISPLACED = (
    'it was built for "linux-64", but is in "noarch"; upload it to the folder it was built for'
)
NO_FLAGS = (
    "flags in its info/index.json is a list of other values instead of a list of flags such as "
    '"cuda" or "blas:mkl" (CEP 45)'
)
NO_GROUPS = (
    "extra_depends in its info/index.json is an object instead of an object of lists of strings "
    "under names of a-z, 0-9 and _.+- (CEP 44)"
)
OF_REVISION_4 = (
    "it needs revision 4 of repodata, but this version of sluice supports only revisions 0 and 3 "
    "(CEP 48)"
)
OF_NO_REVISION = OF_REVISION_4.replace("revision 4", "revision 2")
CONTRADICTED = (
    "the repodata revision that it declares does not support its flags, depends; build it with "
    "repodata_revision 3 (CEP 48), or without that key"
)
OUTDATED = (
    'a dependency has a condition of the form "; if", which clients no longer read; '
    'build it with [when="..."] (CEP 43)'
)


def renamed(what: str, said: str, expected: str) -> str:
    return (
        f'the {what} is "{said}" in its info/index.json, but "{expected}" in its filename (a '
        "package cannot be renamed after the build)"
    )


@pytest.mark.parametrize(
    ("change", "code", "clause"),
    [
        ({"name": "other"}, "filename-mismatch", renamed("name", "other", "demo")),
        ({"version": "1.0.0"}, "filename-mismatch", renamed("version", "1.0.0", "1.0")),
        ({"build": "h1_1"}, "filename-mismatch", renamed("build", "h1_1", "h1_0")),
        ({"subdir": "linux-64"}, "subdir-mismatch", MISPLACED),
        ({"name": None}, "index-json-incomplete", "its info/index.json has no name"),
        (
            {"build_number": None},
            "index-json-incomplete",
            "its info/index.json has no build_number",
        ),
        (
            {"version": 1.0},
            "index-json-wrong-type",
            "version in its info/index.json is 1.0 instead of a string",
        ),
        (
            {"build_number": True},
            "index-json-wrong-type",
            "build_number in its info/index.json is true instead of a non-negative integer",
        ),
        (
            {"depends": "python"},
            "index-json-wrong-type",
            'depends in its info/index.json is "python" instead of a list of strings',
        ),
        (
            {"depends": ["python", 3]},
            "index-json-wrong-type",
            "depends in its info/index.json is a list of other values instead of a list of strings",
        ),
        (
            {"license": ["MIT"]},
            "index-json-wrong-type",
            "license in its info/index.json is a list of other values instead of a string",
        ),
        (
            {"noarch": "r\n"},
            "index-json-wrong-type",
            r'noarch in its info/index.json is "r\n" instead of "python", "generic" or a boolean',
        ),
        (
            {"flags": ["cuda", "CUDA"]},
            "index-json-wrong-type",
            NO_FLAGS,
        ),
        (
            {"extra_depends": {"GPU": []}},
            "index-json-wrong-type",
            NO_GROUPS,
        ),
        ({"repodata_revision": 4}, "repodata-revision-unsupported", OF_REVISION_4),
        ({"schema_version": 4}, "repodata-revision-unsupported", OF_REVISION_4),
        ({"repodata_revision": 2}, "repodata-revision-unsupported", OF_NO_REVISION),
        (
            {"depends": ["demo[extras=[test]]"], "flags": ["cuda"], "repodata_revision": 0},
            "repodata-revision-contradicted",
            CONTRADICTED,
        ),
        ({"constrains": ["demo >=1; if python <3"]}, "condition-outdated", OUTDATED),
        (
            {"x": 2**64},
            "index-json-unpublishable",
            '"x" in its info/index.json has an integer of more than 64 bits',
        ),
        (
            {"x": [float("inf")]},
            "index-json-unpublishable",
            '"x" in its info/index.json has a number that is too large',
        ),
        (
            {"x": {"\udc00": 1}},
            "index-json-unpublishable",
            '"x" in its info/index.json is not valid Unicode',
        ),
        (
            {"\udc00": 1},
            "index-json-unpublishable",
            r'"\udc00" in its info/index.json is not valid Unicode',
        ),
    ],
)
def test_a_fault_is_told_in_a_sentence(change: dict[str, Any], code: str, clause: str) -> None:
    refused = refusal(INDEX | change)
    assert refused.code == code
    assert refused.sentence == f"demo-1.0-h1_0.conda cannot be indexed: {clause}."


@pytest.mark.parametrize(
    "change",
    [
        {"build_number": -1},
        {"build_number": 2**64},
        {"build_number": 0.0},
        {"build_number": "0"},
        {"noarch": 1},
        {"noarch": []},
        {"timestamp": -1},
        {"timestamp": 1.5},
        {"timestamp": 253_402_300_799},
        {"timestamp": 2**63},
        {"track_features": {}},
        {"features": []},
        {"extra_depends": []},
        {"extra_depends": {"": []}},
        {"extra_depends": {"x" * 65: []}},
        {"extra_depends": {"a b": []}},
        {"extra_depends": {"test": "demo"}},
        {"flags": "cuda"},
        {"flags": [""]},
        {"flags": ["a:b:c"]},
        {"flags": ["blas:"]},
        {"flags": ["blas-mkl"]},
        {"flags": ["cuda\n"]},
        {"legacy_bz2_md5": "x"},
        {"purls": ["foo"]},
        {"purls": ["pkg:pypi"]},
        {"purls": ["pkg:pypi/%ff"]},
        {"purls": ["pkg:pypi/a?checksum=x"]},
        {"purls": "pkg:pypi/a"},
        {"python_site_packages_path": 1},
        {"repodata_revision": "3"},
        {"repodata_revision": "3", "schema_version": 99},
        {"repodata_revision": [1], "schema_version": 4},
        {"repodata_revision": True, "schema_version": 4},
    ],
)
def test_what_a_client_cannot_parse_is_refused(change: dict[str, Any]) -> None:
    assert refusal(INDEX | change).code == "index-json-wrong-type"


@pytest.mark.parametrize(
    "change",
    [
        {"depends": ["demo[extras=[test]]", 'demo[when="python <3"]']},
        {"constrains": ["demo[flags=[cuda]]"]},
        {"extra_depends": {"a.b+c-d_0": ["demo"], "x" * 64: []}},
        {"flags": ["cuda", "blas:mkl", "_0"]},
        {"repodata_revision": 3},
        {"schema_version": 3},
    ],
)
def test_what_only_revision_3_can_say_is_kept_as_it_was_said(change: dict[str, Any]) -> None:
    assert record(INDEX | change) == RECORD | change


@pytest.mark.parametrize(
    "change",
    [{"repodata_revision": 0}, {"schema_version": 1}, {"schema_version": 2, "flags": ["cuda"]}],
)
def test_what_a_package_asks_for_need_not_be_what_its_fields_need(change: dict[str, Any]) -> None:
    assert record(INDEX | change) == RECORD | change


def test_every_problem_is_told_at_once_under_the_first_code() -> None:
    refused = refusal({"name": "other", "build_number": -1, "subdir": "win-64"})
    assert refused.code == "filename-mismatch"
    for part in ("says name", "built for", "has no version", "has no build", "build_number in"):
        assert part in refused.sentence


def test_a_sentence_stays_short_whatever_the_package_says() -> None:
    many = {str(n): 2**70 for n in range(1000)}
    refused = refusal(INDEX | {"name": "x" * 10**6} | many)
    assert len(refused.sentence) <= REJECT_SENTENCE_CHARS_MAX
    clauses = refused.sentence.split("; ")
    assert len(clauses) > 3
    assert clauses[-1] == f"and {1001 - (len(clauses) - 1)} more."


def test_a_record_that_is_too_large_is_refused() -> None:
    large = INDEX | {"x": "y" * RECORD_BYTES_MAX}
    assert refusal(large).code == "record-too-large"


def test_a_record_of_exactly_the_limit_is_not_too_large() -> None:
    room = RECORD_BYTES_MAX - len(msgspec.json.encode(record(INDEX | {"x": ""})))
    largest = INDEX | {"x": "y" * room}
    assert len(msgspec.json.encode(record(largest))) == RECORD_BYTES_MAX
    assert refusal(largest | {"x": "y" * (room + 1)}).code == "record-too-large"


def test_a_value_that_is_too_deep_is_refused() -> None:
    value: Any = 1
    for _ in range(10_000):
        value = [value]
    assert refusal(INDEX | {"x": value}).sentence.endswith(
        f"is nested deeper than {JSON_DEPTH_MAX} levels."
    )


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from([*RECORD, "license", "noarch", "purls", "timestamp", "track_features", "x"])


@given(st.dictionaries(KEYS, VALUES))
def test_any_index_json_gives_a_publishable_record_or_one_reject(stated: dict[str, Any]) -> None:
    try:
        made = record(INDEX | stated)
    except BadPackage:
        return
    assert json.loads(msgspec.json.encode(made)) == made
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(made)) == made
