"""Whatever a patch says: what it makes of records stays readable, and is told completely."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from sluice.conda.patch import (
    NEVER_PATCHED,
    PatchInstructions,
    affected_files,
    apply_patch,
    parse_patch_instructions,
)
from sluice.conda.record_fields import FIELD_RULES
from sluice.conda.revision import LEGACY, required_revision
from sluice.errors import BadPackage

FILES = [
    (f"{stem}.{archive}", archive)
    for stem in ("alpha-1-0", "beta-1-0")
    for archive in ("conda", "tar.bz2", "whl", "zip")
]
VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=3) | st.sampled_from(["a[flags=[x]]", "python"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)
KEYS = st.sampled_from(sorted({*FIELD_RULES, *NEVER_PATCHED, "revoked", "run_exports", "x"}))
GOOD = st.fixed_dictionaries(
    {},
    optional={
        "depends": st.lists(st.sampled_from(["a", "b"]), max_size=2) | st.none(),
        "license": st.sampled_from(["MIT", None]),
        "run_exports": st.sampled_from([{"weak": ["a"]}, {}, None]),
        "sha256": st.just("0"),
        "zzz": st.sampled_from([{"a": {"b": None}}, {"a": 1}, 2]),
    },
)
FIELDS = GOOD | GOOD | GOOD | st.dictionaries(KEYS, VALUES, max_size=2)


def filenames(*archives: str) -> st.SearchStrategy[str]:
    return st.sampled_from([filename for filename, archive in FILES if archive in archives])


TOLD = st.fixed_dictionaries(
    {},
    optional={
        "patch_instructions_version": st.sampled_from([1, 2]),
        "packages": st.dictionaries(filenames("tar.bz2"), FIELDS, max_size=2),
        "packages.conda": st.dictionaries(filenames("conda"), FIELDS, max_size=2),
        "remove": st.lists(filenames("conda", "tar.bz2", "whl", "zip"), max_size=2),
        "revoke": st.lists(filenames("conda", "tar.bz2", "whl", "zip"), max_size=2),
        "v3": st.dictionaries(
            st.sampled_from(["conda", "tar.bz2", "whl", "zip"]),
            st.dictionaries(st.sampled_from(["alpha-1-0", "beta-1-0"]), FIELDS, max_size=2),
        ),
    },
)
RECORDS = st.fixed_dictionaries(
    dict.fromkeys(sorted(NEVER_PATCHED), st.just("as it was")),
    optional={
        "depends": st.sampled_from([["python"], ["python[when='x']"], []]),
        "flags": st.just(["cuda"]),
        "license": st.just("BSD"),
        "zzz": st.sampled_from([{"a": {"b": 1}}, 1]),
    },
)


def parsed(told: dict[str, Any]) -> PatchInstructions | None:
    try:
        return parse_patch_instructions(json.dumps(told).encode(), source="patch")
    except BadPackage:
        return None


@given(TOLD, RECORDS)
def test_a_patched_record_is_readable_where_it_stands_and_what_it_was(
    told: dict[str, Any], record: dict[str, Any]
) -> None:
    instructions = parsed(told)
    assume(instructions)
    assert instructions
    before = copy.deepcopy(record)
    for filename, bucket in FILES:
        shown_in_v3 = required_revision(record) > LEGACY or bucket in ("whl", "zip")
        found = apply_patch(
            instructions, filename, record, None, bucket=bucket if shown_in_v3 else None
        )
        assert record == before
        if found is None:
            continue
        assert {key: found.record[key] for key in NEVER_PATCHED} == dict.fromkeys(
            NEVER_PATCHED, "as it was"
        )
        if not shown_in_v3:
            assert required_revision(found.record) == LEGACY
        if bucket != "zip":
            judged = FIELD_RULES.keys() & found.record.keys() - NEVER_PATCHED
            assert all(FIELD_RULES[key].accepts(found.record[key]) for key in judged)


@given(TOLD, TOLD, RECORDS, st.booleans())
def test_files_that_are_not_affected_look_the_same_under_both_patches(
    one: dict[str, Any],
    other: dict[str, Any],
    record: dict[str, Any],
    in_v3: bool,  # noqa: FBT001 - a value that is drawn
) -> None:
    before, after = parsed(one), parsed(other)
    assume(before and after)
    assert before
    assert after
    changed = affected_files(before, after)
    for filename, bucket in FILES:
        shown_in = bucket if in_v3 else None
        if filename not in changed:
            old = apply_patch(before, filename, record, None, bucket=shown_in)
            assert old == apply_patch(after, filename, record, None, bucket=shown_in)


@given(TOLD)
def test_a_stored_patch_is_the_same_patch(told: dict[str, Any]) -> None:
    instructions = parsed(told)
    plain = msgspec.to_builtins(instructions)
    assert msgspec.convert(plain, PatchInstructions | None) == instructions
    packed = msgspec.msgpack.encode(instructions)
    assert msgspec.msgpack.decode(packed, type=PatchInstructions | None) == instructions
