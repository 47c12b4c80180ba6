"""What a patch makes of a record, and which patches are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluice.conda.patch import (
    NEVER_PATCHED,
    PatchedRecord,
    PatchInstructions,
    affected_files,
    apply_patch,
    parse_patch_instructions,
)
from sluice.errors import BadPackage

CONDA, TAR_BZ2 = "alpha-1-0.conda", "alpha-1-0.tar.bz2"
RECORD: dict[str, Any] = {
    "build": "0",
    "build_number": 0,
    "constrains": [],
    "depends": ["python"],
    "license": "BSD",
    "md5": "m",
    "name": "alpha",
    "sha256": "s",
    "size": 1,
    "subdir": "noarch",
    "timestamp": 5,
    "version": "1",
}
V3_RECORD = RECORD | {"depends": ['python[when="__unix"]'], "flags": ["cuda"]}


def instructions(**told: Any) -> PatchInstructions:
    return parse_patch_instructions(json.dumps(told).encode(), source="patch")


def of_conda(**fields: Any) -> PatchInstructions:
    return instructions(**{"packages.conda": {CONDA: fields}})


def patched(told: PatchInstructions, filename: str = CONDA, **about: Any) -> Any:
    found = apply_patch(told, filename, RECORD, None, **about)
    return found.record if found else None


def refusal(body: bytes) -> str:
    with pytest.raises(BadPackage) as refused:
        parse_patch_instructions(body, source="patch")
    assert refused.value.code == "patch-invalid"
    return refused.value.sentence


# --- values --------------------------------------------------------------------------------


def test_values_are_replaced_added_and_taken_away() -> None:
    before = json.dumps(RECORD)
    told = of_conda(depends=["python >=3"], license=None, track_features="slow", zzz={"a": [1]})
    expected = RECORD | {"depends": ["python >=3"], "track_features": "slow", "zzz": {"a": [1]}}
    del expected["license"]
    found = patched(told)
    assert found == expected
    assert list(found) == sorted(expected)
    assert json.dumps(RECORD) == before


def test_what_nothing_is_said_of_stays_as_it_is() -> None:
    told = of_conda(license="MIT")
    assert apply_patch(told, "beta-1-0.conda", RECORD, {"weak": ["a"]}) == PatchedRecord(
        RECORD, {"weak": ["a"]}
    )


def test_no_patch_says_what_a_file_is_or_what_was_measured() -> None:
    assert patched(of_conda(**dict.fromkeys(NEVER_PATCHED, "x"))) == RECORD
    assert patched(of_conda(**dict.fromkeys(NEVER_PATCHED))) == RECORD
    assert {"indexed_timestamp", "md5", "name", "sha256", "size", "subdir"} <= NEVER_PATCHED


def test_null_takes_no_dependencies_away() -> None:
    """rattler-index leaves them alone; conda-index makes a package that installs and breaks."""
    assert patched(of_conda(depends=None, constrains=None)) == RECORD


# --- both archives of a package ------------------------------------------------------------


def test_what_is_said_of_a_tar_bz2_holds_for_its_conda_too() -> None:
    told = instructions(packages={TAR_BZ2: {"license": "MIT"}})
    assert patched(told, TAR_BZ2) == patched(told, CONDA) == RECORD | {"license": "MIT"}


def test_what_is_said_of_the_conda_itself_comes_on_top_key_by_key() -> None:
    told = instructions(
        **{
            "packages": {TAR_BZ2: {"license": "MIT", "depends": []}},
            "packages.conda": {CONDA: {"license": "ISC"}},
        }
    )
    assert patched(told, CONDA) == RECORD | {"license": "ISC", "depends": []}
    assert patched(told, TAR_BZ2) == RECORD | {"license": "MIT", "depends": []}


@pytest.mark.parametrize(
    ("told", "of_conda_too"), [(TAR_BZ2, True), (CONDA, False), ("beta-1-0.tar.bz2", False)]
)
def test_removing_and_revoking_a_tar_bz2_hits_its_conda_and_not_the_other_way(
    told: str,
    of_conda_too: bool,  # noqa: FBT001 - a case
) -> None:
    of_itself = told == CONDA
    assert (patched(instructions(remove=[told]), CONDA) is None) == (of_conda_too or of_itself)
    assert (patched(instructions(remove=[told]), TAR_BZ2) is None) == of_conda_too
    revoked = patched(instructions(revoke=[told]), CONDA)
    assert ("revoked" in revoked) == (of_conda_too or of_itself)


def test_what_is_revoked_depends_on_what_nobody_has() -> None:
    told = instructions(revoke=[CONDA], **{"packages.conda": {CONDA: {"depends": ["a"]}}})
    assert patched(told) == RECORD | {
        "depends": ["a", "package_has_been_revoked"],
        "revoked": True,
    }


@pytest.mark.parametrize("depends", [None, "python", 5])
def test_a_record_taken_over_whose_dependencies_are_no_list_can_be_revoked(depends: Any) -> None:
    found = apply_patch(instructions(revoke=[CONDA]), CONDA, RECORD | {"depends": depends}, None)
    assert found
    assert found.record["depends"] == ["package_has_been_revoked"]


# --- run exports (CEP 21) ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "told", "expected"),
    [
        (1, {"weak": ["b"]}, {"weak": ["a"]}),
        (1, "nothing that version 1 cares about", {"weak": ["a"]}),
        (2, {"weak": ["b"]}, {"weak": ["b"]}),
        (2, {}, {}),
        (2, None, {}),
    ],
)
def test_run_exports_are_patched_by_version_2_alone(version: int, told: Any, expected: Any) -> None:
    patch = instructions(
        patch_instructions_version=version, packages={TAR_BZ2: {"run_exports": told}}
    )
    assert apply_patch(patch, TAR_BZ2, RECORD, {"weak": ["a"]}) == PatchedRecord(RECORD, expected)


def test_a_patch_can_tell_run_exports_that_nobody_has_read() -> None:
    patch = instructions(
        patch_instructions_version=2, packages={TAR_BZ2: {"run_exports": {"strong": ["b"]}}}
    )
    assert apply_patch(patch, CONDA, RECORD, None) == PatchedRecord(RECORD, {"strong": ["b"]})


# --- revision 3 (CEP 48) -------------------------------------------------------------------

BOTH = instructions(
    packages={TAR_BZ2: {"license": "legacy", "depends": ["old"]}},
    v3={"conda": {"alpha-1-0": {"license": "v3"}}},
)


def test_a_record_that_needs_revision_3_keeps_to_what_is_said_in_v3() -> None:
    found = apply_patch(BOTH, CONDA, V3_RECORD, None, bucket="conda")
    assert found == PatchedRecord(dict(sorted((V3_RECORD | {"license": "v3"}).items())), None)


def test_a_record_that_is_only_shown_in_v3_keeps_its_fixes() -> None:
    assert patched(BOTH, bucket="conda") == RECORD | {"license": "v3", "depends": ["old"]}


def test_what_is_said_in_v3_is_not_about_older_revisions_nor_other_buckets() -> None:
    assert patched(BOTH) == RECORD | {"license": "legacy", "depends": ["old"]}
    told = instructions(v3={"tar.bz2": {"alpha-1-0": {"license": "v3"}}})
    assert patched(told, CONDA, bucket="conda") == RECORD
    assert patched(told, TAR_BZ2, bucket="tar.bz2") == RECORD | {"license": "v3"}


def test_wheels_are_patched_and_removed_by_filename() -> None:
    wheel = "alpha-1-py3-none-any.whl"
    told = instructions(v3={"whl": {wheel.removesuffix(".whl"): {"license": "MIT"}}})
    assert patched(told, wheel, bucket="whl") == RECORD | {"license": "MIT"}
    assert patched(instructions(remove=[wheel]), wheel, bucket="whl") is None


def test_in_unknown_buckets_objects_are_merged_as_rattler_does() -> None:
    record = {"meta": {"keep": True, "drop": 1, "inner": 1}, "size": 1}
    told = instructions(
        v3={"zip": {"a": {"meta": {"drop": None, "inner": {"new": 2, "no": None}}, "size": 2}}}
    )
    found = apply_patch(told, "a.zip", record, None, bucket="zip")
    assert found == PatchedRecord({"meta": {"keep": True, "inner": {"new": 2}}, "size": 1}, None)
    assert record["meta"] == {"keep": True, "drop": 1, "inner": 1}


def test_null_takes_a_record_out_of_an_unknown_bucket() -> None:
    told = instructions(v3={"zip": {"a": None}})
    assert apply_patch(told, "a.zip", {}, None, bucket="zip") is None
    assert apply_patch(told, "b.zip", {}, None, bucket="zip") == PatchedRecord({}, None)


# --- what is refused -----------------------------------------------------------------------


def test_a_patch_that_says_nothing_is_none_the_less_one() -> None:
    assert parse_patch_instructions(b"{}", source="patch") == PatchInstructions()


def test_what_it_does_not_know_it_passes_over() -> None:
    assert (
        parse_patch_instructions(b'{"comment": "of version 1.5"}', source="patch")
        == PatchInstructions()
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b'{"packages": null}',
        b'{"packages": {"a-1-0.tar.bz2": []}}',
        b'{"remove": {}}',
        b'{"remove": [1]}',
        b'{"patch_instructions_version": "1"}',
        b'{"v3": {"zip": null}}',
    ],
)
def test_what_is_no_patch_is_refused(body: bytes) -> None:
    assert refusal(body).startswith("patch is not valid: ")


@pytest.mark.parametrize("version", [-1, 0, 3, 2**70])
def test_versions_of_the_future_are_refused(version: int) -> None:
    body = json.dumps({"patch_instructions_version": version}).encode()
    assert (
        f"has version {version}, but this version of sluice supports only versions 1 and 2"
        in refusal(body)
    )


@pytest.mark.parametrize(
    ("fields", "clause"),
    [
        ({"depends": "python"}, 'depends is "python" instead of a list of strings'),
        ({"depends": ["python", None]}, 'depends is ["python",null] instead of a list of strings'),
        ({"license": 5}, "license is 5 instead of a string"),
        ({"arch": 64}, "arch is 64 instead of a string"),
        ({"platform": ["linux"]}, 'platform is ["linux"] instead of a string'),
        ({"attestations_sha256": "x"}, 'attestations_sha256 is "x" instead of a SHA-256 in hex'),
        ({"zzz": 2**64}, "zzz has an integer of more than 64 bits"),
        ({"run_exports": {"weak": None}}, 'run_exports is {"weak":null} instead of an object of'),
        ({"run_exports": ["a"]}, 'run_exports is ["a"] instead of an object of lists of strings'),
        ({"depends": ["a; if b"]}, 'a dependency has a condition of the form "; if", which'),
    ],
)
@pytest.mark.parametrize("place", ["packages", "packages.conda", "v3"])
def test_what_clients_could_not_read_is_refused_wherever_it_stands(
    fields: dict[str, Any], clause: str, place: str
) -> None:
    filename = {"packages": TAR_BZ2, "packages.conda": CONDA, "v3": "alpha-1-0.whl"}[place]
    told: Any = {filename: fields}
    if place == "v3":
        told = {"whl": {"alpha-1-0": fields}}
    body = json.dumps({"patch_instructions_version": 2, place: told}).encode()
    assert refusal(body).startswith(f"patch: {filename}: {clause}")


@pytest.mark.parametrize(
    "fields", [{"flags": ["cuda"]}, {"depends": ["python[when='__unix']"]}, {"schema_version": 3}]
)
def test_what_only_revision_3_can_say_belongs_under_v3(fields: dict[str, Any]) -> None:
    body = json.dumps({"packages.conda": {CONDA: fields}}).encode()
    assert "the values need revision 3 of repodata" in refusal(body)
    assert instructions(v3={"conda": {"alpha-1-0": fields}})


def test_a_record_of_a_known_bucket_is_removed_by_name_not_by_null() -> None:
    told = b'{"v3": {"conda": {"alpha-1-0": null}}}'
    assert refusal(told) == "patch: alpha-1-0.conda: null is not valid; list the file in remove."


# --- which files differ --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, set()),
        ({}, {"remove": [TAR_BZ2]}, {CONDA, TAR_BZ2}),
        ({"remove": [CONDA]}, {"revoke": [CONDA]}, {CONDA}),
        ({}, {"packages": {TAR_BZ2: {"license": "MIT"}}}, {CONDA, TAR_BZ2}),
        (
            {"packages": {TAR_BZ2: {"license": "MIT"}}},
            {
                "packages": {TAR_BZ2: {"license": "ISC"}},
                "packages.conda": {CONDA: {"license": "MIT"}},
            },
            {TAR_BZ2},
        ),
        ({}, {"packages": {TAR_BZ2: {"sha256": "x", "depends": None}}}, set()),
        ({}, {"packages": {TAR_BZ2: {"run_exports": {}}}}, set()),
        (
            {"packages.conda": {CONDA: {"run_exports": {}}}},
            {"patch_instructions_version": 2, "packages.conda": {CONDA: {"run_exports": {}}}},
            {CONDA},
        ),
        ({}, {"patch_instructions_version": 2}, set()),
        ({}, {"v3": {"tar.zst": {"a-1-0": {"license": "MIT"}}}}, {"a-1-0.tar.zst"}),
        ({}, {"v3": {"conda": {"alpha-1-0": {"license": "MIT"}}}}, {CONDA}),
        ({}, {"v3": {"zip": {"a": None}}}, {"a.zip"}),
    ],
)
def test_files_are_affected_where_something_else_takes_effect(
    before: dict[str, Any], after: dict[str, Any], expected: set[str]
) -> None:
    old, new = instructions(**before), instructions(**after)
    assert affected_files(old, new) == affected_files(new, old) == expected


def test_a_patch_that_comes_or_goes_affects_what_it_speaks_of() -> None:
    told = instructions(remove=[CONDA])
    assert affected_files(None, told) == affected_files(told, None) == {CONDA}
    assert affected_files(None, None) == affected_files(told, told) == set()
