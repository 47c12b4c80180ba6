"""What clients see of the files of one name, under a configuration and a patch."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import structs

from sluice.catalog.client_view import NO_RULES, ClientView, RenderRules, render_view
from sluice.catalog.entry import CarriedRecord, Entry, Pin, Record, Reject
from sluice.channel_config import DEFAULT_CONFIG, Revision
from sluice.conda.patch import parse_patch_instructions
from tests.support.staging_records import A2, A, identity_of, record_of

AT = 1_750_000_000_000
V3_FIELDS = {"extra_depends": {"gpu": ["cuda"]}}
LATEST = structs.replace(
    DEFAULT_CONFIG,
    package_revision_assignment="latest",
    repodata_revisions=(Revision(revision="v3", message=None),),
)


def entry(filename: str, run_exports: Any = None, **fields: Any) -> Record:
    """A package that sluice has read."""
    return Record(
        identity=identity_of(),
        extractor=1,
        record={**record_of(filename, b""), "indexed_timestamp": AT, **fields},
        digests_from={"sha256": "read"},
        run_exports=run_exports,
    )


def patched_by(**instructions: Any) -> RenderRules:
    body = {"patch_instructions_version": 1, **instructions}

    return RenderRules(
        instructions=parse_patch_instructions(json.dumps(body).encode(), source="patch")
    )


def test_without_patch_or_settings_clients_see_the_records_in_order() -> None:
    one, other = entry(A), entry(A2)
    assert render_view({A2: other, A: one}, NO_RULES) == ClientView(
        records={A: one.record, A2: other.record}, run_exports={A: {}, A2: {}}
    )


def test_rejects_are_not_shown_and_pins_stand_among_the_removed() -> None:
    entries: dict[str, Entry] = {
        A: Reject(identity=identity_of(), extractor=1, code="x", sentence="y", at=AT),
        A2: Pin(identity=None, extractor=0, at=AT, reason="z"),
    }
    assert render_view(entries, NO_RULES) == ClientView(removed=[A2])


def test_what_only_revision_3_can_say_stands_in_revision_3() -> None:
    new = entry(A, **V3_FIELDS)
    shown = render_view({A: new, A2: entry(A2)}, NO_RULES)
    assert shown.v3 == {"conda": {A.removesuffix(".conda"): new.record}}
    assert list(shown.records) == [A2]
    assert shown.count == 2


def test_what_asks_for_a_revision_that_is_not_known_yet_is_kept_from_older_clients() -> None:
    taken_over = entry(A, schema_version=4)
    assert list(render_view({A: taken_over}, NO_RULES).v3) == ["conda"]


def test_latest_moves_all_records_into_the_newest_revision_that_is_configured() -> None:
    shown = render_view({A: entry(A), A2: entry(A2)}, RenderRules(LATEST))
    assert not shown.records
    assert {bucket: list(of) for bucket, of in shown.v3.items()} == {
        "conda": [A.removesuffix(".conda")],
        "tar.bz2": [A2.removesuffix(".tar.bz2")],
    }


def test_latest_without_a_configured_revision_moves_nothing_down() -> None:
    settings = structs.replace(DEFAULT_CONFIG, package_revision_assignment="latest")
    shown = render_view({A: entry(A, **V3_FIELDS), A2: entry(A2)}, RenderRules(settings))
    assert (list(shown.records), list(shown.v3)) == ([A2], ["conda"])


def test_records_in_buckets_of_other_tools_are_kept() -> None:
    wheel = CarriedRecord(
        identity=None, extractor=0, bucket="whl", record={"name": "alpha", "url": "u"}
    )
    shown = render_view({"alpha-1.0-py3-none-any.whl": wheel}, NO_RULES)
    assert shown == ClientView(v3={"whl": {"alpha-1.0-py3-none-any": wheel.record}})


def test_what_the_package_says_for_the_indexer_is_not_shown() -> None:
    new = entry(A, **V3_FIELDS, schema_version=3, repodata_revision=3)
    shown = render_view({A: new}, NO_RULES).v3["conda"][A.removesuffix(".conda")]
    assert not {"schema_version", "repodata_revision"} & shown.keys()


def test_match_specs_of_revision_3_have_the_one_form_that_cep_48_allows() -> None:
    said = {"depends": ["python >=3.11"], "extra_depends": {"gpu": ["cuda 12.*"]}}
    shown = render_view({A: entry(A, **said), A2: entry(A2, depends=["python >=3.11"])}, NO_RULES)
    of_v3 = shown.v3["conda"][A.removesuffix(".conda")]
    assert of_v3["depends"] == ['python[version=">=3.11"]']
    assert of_v3["extra_depends"] == {"gpu": ['cuda[version="12.*"]']}
    assert shown.records[A2]["depends"] == ["python >=3.11"]


def test_a_patch_changes_what_is_shown_and_leaves_the_entry_alone() -> None:
    one = entry(A, run_exports={"weak": ["alpha"]})
    rules = patched_by(**{"packages.conda": {A: {"depends": ["beta"], "license": None}}})
    shown = render_view({A: one}, rules)
    assert shown.records[A] == {**one.record, "depends": ["beta"]}
    assert shown.run_exports == {A: {"weak": ["alpha"]}}
    assert one.record["depends"] == []
    assert render_view({A: one}, rules.unpatched) == render_view({A: one}, NO_RULES)


def test_what_a_patch_removes_is_told_and_keeps_its_run_exports() -> None:
    shown = render_view({A: entry(A), A2: entry(A2)}, patched_by(remove=[A]))
    assert shown == ClientView(
        records={A2: entry(A2).record}, removed=[A], run_exports={A: {}, A2: {}}
    )


def test_run_exports_that_nobody_ever_looked_at_are_not_told() -> None:
    taken_over = structs.replace(entry(A), digests_from={})
    assert render_view({A: taken_over}, NO_RULES).run_exports == {}


@pytest.mark.parametrize(("policy", "shown"), [("warn", [A]), ("reject", [])])
def test_a_timestamp_of_after_the_upload_is_hidden_only_where_that_is_configured(
    policy: str, shown: list[str]
) -> None:
    rules = RenderRules(structs.replace(DEFAULT_CONFIG, timestamps=policy))
    future = entry(A, timestamp=AT + 60_000)
    assert list(render_view({A: future}, rules).records) == shown
