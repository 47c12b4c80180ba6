"""What staged verdicts mean for the entries of one name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sluice.catalog.entry import (
    NOT_EXTRACTED,
    CarriedRecord,
    Entry,
    Pin,
    Record,
    Reject,
    stored_warnings,
)
from sluice.catalog.file_warnings import RECORD_KEPT, RECORD_NORMALIZED
from sluice.conda import record as sluice_record
from sluice.extract.staging import FileVerdict, Indexed, Rejected
from sluice.limits import REJECT_SENTENCES_PER_NAME_MAX
from sluice.merge import apply_staging
from sluice.merge.apply_staging import CommitChanges
from tests.support.staging_records import (
    A2,
    A,
    B,
    C,
    identity_of,
    indexed,
    record_of,
    rejected,
    removed,
)

AT = 1_760_000_000_000
LATER = AT + 5


def record(verdict: Indexed, *, since: int = AT) -> Record:
    """The entry that a good package becomes."""
    return Record(
        identity=verdict.identity,
        extractor=verdict.extractor,
        record={**verdict.record, "indexed_timestamp": since},
        digests_from=verdict.digests_from,
        run_exports=verdict.run_exports,
        channeldata=verdict.channeldata,
    )


def reject(verdict: Rejected, *, at: int = AT) -> Reject:
    """The entry that a bad package becomes."""
    return Reject(
        identity=verdict.identity,
        extractor=verdict.extractor,
        code=verdict.code,
        sentence=verdict.sentence,
        at=at,
    )


def apply(old: Entry | None, verdict: apply_staging.Verdict | None) -> Entry | None:
    """The entry of one file after a verdict."""
    before: dict[str, Entry] = {A: old} if old else {}
    return apply_staging.apply_verdicts(before, {A: verdict}, at=LATER).get(A)


# --- settle: records against the objects that are there -------------------------------------------


@pytest.mark.parametrize("staged", [[indexed(A)], [rejected(A)], [removed(A)], [indexed(A)] * 2])
def test_what_is_not_there_is_gone_whatever_was_staged(staged: list[FileVerdict]) -> None:
    assert apply_staging.resolve_verdicts(staged, {A: None}) == {A: None}


def test_a_verdict_on_the_object_that_is_there_counts() -> None:
    for verdict in (indexed(A), rejected(A)):
        assert apply_staging.resolve_verdicts([verdict], {A: verdict.identity}) == {A: verdict}


def test_a_verdict_on_another_upload_is_stale_and_says_nothing() -> None:
    there = identity_of(b"new")
    for stale in (
        indexed(A, b"old"),
        rejected(A, b"old"),
        indexed(A, b"new", identity=identity_of(b"new", modified=1)),
        removed(A),
    ):
        assert apply_staging.resolve_verdicts([stale], {A: there}) == {}


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        (rejected(A), indexed(A)),
        (rejected(A, at=2), indexed(A, at=1)),
        (indexed(A, extractor=1), rejected(A, extractor=2)),
        (indexed(A, extractor=1, at=2), indexed(A, extractor=2, at=1)),
        (indexed(A, at=1), indexed(A, at=2)),
        (indexed(A, at=9), indexed(A, at=10)),  # as numbers, not as text
    ],
)
def test_of_two_verdicts_on_one_object_the_newer_extractor_wins_then_the_good_one(
    worse: apply_staging.Verdict, better: apply_staging.Verdict
) -> None:
    observed = {A: better.identity}
    for order in permutations([worse, better, worse]):
        assert apply_staging.resolve_verdicts(order, observed) == {A: better}


def test_verdicts_that_differ_in_nothing_but_what_they_say_are_settled_by_what_they_say() -> None:
    one = indexed(A)
    other = msgspec.structs.replace(one, record={**one.record, "license": "MIT"})
    observed = {A: one.identity}
    assert apply_staging.resolve_verdicts([one, other], observed) == apply_staging.resolve_verdicts(
        [other, one], observed
    )


def test_each_file_is_settled_on_its_own() -> None:
    good = indexed(A, b"a")
    staged: list[FileVerdict] = [good, removed(A2), rejected(B, b"stale")]
    observed = {A: identity_of(b"a"), A2: None, B: identity_of(b"b")}
    assert apply_staging.resolve_verdicts(staged, observed) == {A: good, A2: None}


# --- apply: verdicts on entries -------------------------------------------------------------------


def test_a_new_package_is_dated_by_its_commit() -> None:
    verdict = indexed(A, b"a")
    assert apply(None, verdict) == record(verdict, since=LATER)


def test_what_other_index_files_will_need_of_a_package_is_kept_with_its_record() -> None:
    verdict = msgspec.structs.replace(
        indexed(A), run_exports={"weak": ["alpha"]}, channeldata={"home": "https://alpha"}
    )
    entry = apply(None, verdict)
    assert isinstance(entry, Record)
    assert (entry.run_exports, entry.channeldata) == (verdict.run_exports, verdict.channeldata)


def test_a_package_that_is_gone_leaves_no_entry() -> None:
    for old in (None, record(indexed(A)), reject(rejected(A))):
        assert apply(old, None) is None


def test_the_same_content_uploaded_again_keeps_its_date() -> None:
    verdict = indexed(A, b"a", identity=identity_of(b"a", modified=9))
    assert apply(record(indexed(A, b"a")), verdict) == record(verdict, since=AT)


def test_other_content_under_the_same_name_gets_a_new_date() -> None:
    verdict = indexed(A, b"other")
    assert apply(record(indexed(A, b"a")), verdict) == record(verdict, since=LATER)


def test_a_package_that_comes_back_after_its_removal_gets_a_new_date() -> None:
    verdict = indexed(A, b"a")
    gone = apply_staging.apply_verdicts({A: record(verdict)}, {A: None}, at=AT)
    assert apply_staging.apply_verdicts(gone, {A: verdict}, at=LATER) == {
        A: record(verdict, since=LATER)
    }


def test_a_package_that_was_rejected_is_dated_when_it_comes_in() -> None:
    verdict = indexed(A, b"repaired")
    assert apply(reject(rejected(A)), verdict) == record(verdict, since=LATER)


def test_a_good_package_overwritten_by_a_corrupt_one_becomes_a_reject() -> None:
    verdict = rejected(A, b"corrupt")
    assert apply(record(indexed(A, b"a")), verdict) == reject(verdict, at=LATER)


@pytest.mark.parametrize(
    ("old", "verdict"),
    [
        (record(indexed(A)), indexed(A)),
        (record(indexed(A)), indexed(A, at=99)),
        (record(indexed(A)), rejected(A)),
        (reject(rejected(A)), rejected(A, at=99)),
        (record(indexed(A, extractor=2)), indexed(A, extractor=1)),
        (reject(rejected(A, extractor=2)), indexed(A, extractor=1)),
    ],
)
def test_on_the_same_object_a_verdict_that_is_no_better_changes_nothing(
    old: Entry, verdict: apply_staging.Verdict
) -> None:
    assert apply(old, verdict) is old


@pytest.mark.parametrize(
    ("old", "verdict"),
    [
        (record(indexed(A)), indexed(A, extractor=2)),
        (record(indexed(A), since=AT), indexed(A, extractor=2)),
    ],
)
def test_a_newer_extractor_reads_the_same_object_anew_and_its_date_stays(
    old: Record, verdict: Indexed
) -> None:
    assert apply(old, verdict) == record(verdict, since=AT)


def test_a_newer_extractor_may_reject_what_an_older_one_let_in_and_the_other_way_round() -> None:
    assert isinstance(apply(record(indexed(A)), rejected(A, extractor=2)), Reject)
    assert isinstance(apply(reject(rejected(A)), indexed(A, extractor=2)), Record)
    assert isinstance(apply(reject(rejected(A)), indexed(A)), Record)


def test_a_record_that_was_taken_over_is_replaced_by_the_first_verdict_of_ours() -> None:
    verdict = indexed(A)
    taken = msgspec.structs.replace(record(verdict), extractor=NOT_EXTRACTED, digests_from={})
    assert apply(taken, verdict) == record(verdict, since=AT)
    assert isinstance(apply(taken, rejected(A)), Reject)


def taken_over(filename: str = A, body: bytes = b"", **fields: Any) -> Record:
    """A record of the index before sluice."""
    fields = {**record_of(filename, body), "indexed_timestamp": AT, **fields}
    return Record(identity=identity_of(body), extractor=NOT_EXTRACTED, record=fields)


def test_what_an_index_says_of_attestations_stays_with_its_artifact() -> None:
    attested = taken_over(A, b"a", attestations_sha256="ab" * 32)
    again = apply(attested, indexed(A, b"a"))
    assert isinstance(again, Record)
    assert again.record == {**attested.record}
    other = apply(again, indexed(A, b"other"))
    assert isinstance(other, Record)
    assert "attestations_sha256" not in other.record


@pytest.mark.parametrize("code", sorted(apply_staging.RULE_REJECT_CODES))
def test_a_record_that_was_taken_over_stays_where_its_package_only_breaks_a_rule(code: str) -> None:
    """It stays as it is, and is not read again before there is another extractor."""
    verdict = msgspec.structs.replace(rejected(A), code=code)
    kept = apply(taken_over(license="theirs"), verdict)
    (warning,) = stored_warnings(kept)
    assert warning.code == RECORD_KEPT
    assert A in warning.sentence
    assert code in warning.sentence
    stays = msgspec.structs.replace(taken_over(license="theirs"), warnings=(warning,))
    assert kept == msgspec.structs.replace(stays, extractor=1)
    newer = msgspec.structs.replace(verdict, extractor=2)
    assert apply(kept, newer) == msgspec.structs.replace(stays, extractor=2)
    assert apply(kept, verdict) is kept


def test_what_earlier_releases_took_over_is_put_right_when_its_package_breaks_a_rule() -> None:
    verdict = msgspec.structs.replace(rejected(A), code="index-json-wrong-type")
    kept = apply(taken_over(timestamp=1719972900.0, depends="python"), verdict)
    assert isinstance(kept, Record)
    assert (kept.record["timestamp"], kept.record["depends"]) == (1719972900, ["python"])
    assert kept.record["indexed_timestamp"] == AT
    assert [warning.code for warning in stored_warnings(kept)] == [RECORD_NORMALIZED, RECORD_KEPT]
    again = apply(kept, msgspec.structs.replace(verdict, extractor=2))
    assert [warning.code for warning in stored_warnings(again)] == [RECORD_NORMALIZED, RECORD_KEPT]


def test_what_earlier_releases_took_over_and_no_client_reads_becomes_a_reject_with_it() -> None:
    verdict = msgspec.structs.replace(rejected(A), code="index-json-wrong-type")
    assert isinstance(apply(taken_over(depends=5), verdict), Reject)


def test_a_package_that_breaks_a_rule_does_not_stay_as_another_object_than_was_taken_over() -> None:
    verdict = msgspec.structs.replace(rejected(A), code="filename-invalid")
    for old in (taken_over(size=7), taken_over(body=b"other"), record(indexed(A))):
        newer = msgspec.structs.replace(verdict, extractor=2)
        assert isinstance(apply(old, newer), Reject)


@pytest.mark.parametrize(
    ("known", "found", "stays"),
    [("0" * 64, "0" * 64, True), ("0" * 64, "1" * 64, False), (None, "1" * 64, True)],
)
def test_a_package_that_breaks_a_rule_does_not_stay_with_the_digest_of_another(
    known: str | None, found: str, *, stays: bool
) -> None:
    verdict = msgspec.structs.replace(rejected(A), code="filename-mismatch", sha256=found)
    assert isinstance(apply(taken_over(sha256=known), verdict), Record if stays else Reject)


UNREADABLE = msgspec.structs.replace(
    reject(rejected(A, extractor=NOT_EXTRACTED)), code="unreadable"
)
PINNED = Pin(identity=identity_of(), extractor=NOT_EXTRACTED, at=AT, reason="kept out")


@pytest.mark.parametrize(
    "ours",
    [
        UNREADABLE,
        reject(rejected(A, identity=identity_of(modified=1))),
        record(indexed(A, identity=identity_of(modified=1))),
        msgspec.structs.replace(PINNED, identity=identity_of(modified=1)),
    ],
)
def test_a_record_there_comes_before_what_we_know_of_another_object_or_of_none(ours: Entry) -> None:
    there = taken_over()
    assert apply_staging.overlay_existing({A: there}, {A: ours}) == {A: there}


@pytest.mark.parametrize("ours", [record(indexed(A)), reject(rejected(A)), PINNED])
def test_what_we_know_of_the_object_that_is_there_comes_before_its_record(ours: Entry) -> None:
    assert apply_staging.overlay_existing({A: taken_over()}, {A: ours}) == {A: ours}


def test_of_files_that_only_one_side_knows_that_is_what_is_known() -> None:
    there, ours = taken_over(), reject(rejected(B))
    assert apply_staging.overlay_existing({A: there}, {B: ours}) == {A: there, B: ours}


def test_what_only_other_tools_fill_is_as_they_have_it() -> None:
    old, new = (
        CarriedRecord(identity=None, extractor=NOT_EXTRACTED, bucket="whl", record={"size": size})
        for size in (1, 2)
    )
    assert apply_staging.overlay_existing({A: new}, {A: old}) == {A: new}
    assert apply_staging.overlay_existing({}, {A: old}) == {A: old}
    ours = record(indexed(A))
    assert apply_staging.overlay_existing({A: new}, {A: ours}) == {A: ours}


def test_the_rules_are_all_that_a_record_can_be_refused_for_and_some_of_reading_packages() -> None:
    folder = Path(sluice_record.__file__).parent
    of_records = codes(r'Problem\(\s*"([a-z0-9-]+)"', folder / "record.py")
    of_packages = codes(r'"([a-z0-9]+(?:-[a-z0-9]+)+)"', *(folder.parent / "package").glob("*.py"))
    assert of_records <= apply_staging.RULE_REJECT_CODES <= of_records | of_packages


def codes(pattern: str, *sources: Path) -> set[str]:
    """What the code of rejects in these files matches."""
    return {code for file in sources for code in re.findall(pattern, file.read_text("utf-8"))}


def test_a_package_that_was_revoked_stays_revoked_until_another_is_uploaded() -> None:
    revoked = taken_over(revoked=True, depends=["package_has_been_revoked"])
    verdict = indexed(A)
    assert apply(revoked, verdict) == msgspec.structs.replace(revoked, extractor=1)
    again = indexed(A, identity=identity_of(modified=9))
    assert apply(revoked, again) == record(again)
    other = taken_over(revoked=True, sha256="0" * 64)
    assert apply(other, verdict) == record(verdict, since=LATER)
    assert apply(taken_over(revoked=False), verdict) == record(verdict)


@pytest.mark.parametrize(
    ("theirs", "since"),
    [
        ({}, AT),
        ({"sha256": "0" * 64}, LATER),
        ({"sha256": "0" * 64, "md5": None}, LATER),
        ({"sha256": None}, AT),
        ({"sha256": ""}, AT),
        ({"sha256": None, "md5": "0" * 32}, LATER),
        ({"sha256": None, "size": 9}, LATER),
        ({"sha256": None, "md5": None}, AT),  # the object that was there when it was taken over
        ({"sha256": None, "md5": None, "size": 9}, LATER),
    ],
)
def test_a_date_that_was_taken_over_stays_with_its_artifact(
    theirs: dict[str, Any], since: int
) -> None:
    verdict = indexed(A)
    assert apply(taken_over(**theirs), verdict) == record(verdict, since=since)


def test_where_neither_side_knows_a_digest_another_upload_gets_another_date() -> None:
    verdict = indexed(A, identity=identity_of(modified=9))
    verdict.record["md5"] = None
    undigested = taken_over(sha256=None)
    assert apply(undigested, verdict) == record(verdict, since=LATER)
    verdict = indexed(A, identity=identity_of(modified=9))
    assert apply(undigested, verdict) == record(verdict, since=AT)


def test_an_object_of_which_no_md5_is_known_is_the_artifact_that_was_taken_over() -> None:
    verdict = indexed(A)
    verdict.record["md5"] = None
    assert apply(taken_over(sha256=None), verdict) == record(verdict, since=AT)


def test_an_object_that_could_not_be_read_once_more_is_rejected_as_of_now() -> None:
    first = rejected(A, extractor=NOT_EXTRACTED, at=AT - 9)
    old = apply(None, first)
    assert old == reject(first, at=LATER)
    assert apply(old, first) is old  # the same record, met by a second merge
    assert apply(old, rejected(A, extractor=NOT_EXTRACTED, at=LATER)) is old
    again = rejected(A, extractor=NOT_EXTRACTED, at=LATER + 1)
    assert isinstance(old, Reject)
    after = apply_staging.apply_verdicts({A: old}, {A: again}, at=LATER + 2)
    assert after == {A: msgspec.structs.replace(old, at=LATER + 2)}
    judged = reject(rejected(A), at=AT)
    assert apply(judged, again) is judged
    assert apply(judged, rejected(A, at=LATER + 1)) is judged


def test_a_reject_for_what_could_not_be_read_gives_way_to_any_verdict_and_to_no_better_one() -> (
    None
):
    unread = rejected(A, extractor=NOT_EXTRACTED)
    judged = apply(reject(unread), rejected(A))
    assert isinstance(judged, Reject)
    assert judged.extractor == rejected(A).extractor
    assert isinstance(apply(reject(unread), indexed(A)), Record)
    taken = msgspec.structs.replace(record(indexed(A)), extractor=NOT_EXTRACTED)
    assert apply(taken, unread) is taken


def test_a_pinned_file_stays_out_until_another_object_is_uploaded() -> None:
    pin = Pin(identity=identity_of(), extractor=1, at=1, reason="withdrawn")
    assert apply(pin, indexed(A)) is pin
    assert apply(pin, indexed(A, extractor=9)) is pin
    again = indexed(A, identity=identity_of(modified=9))
    assert apply(pin, again) == record(again, since=LATER)
    assert apply(pin, None) is None


def test_files_without_news_stay_as_they_are() -> None:
    kept = record(indexed(A))
    assert apply_staging.apply_verdicts(
        {A: kept, A2: record(indexed(A2))}, {A2: None}, at=LATER
    ) == {A: kept}


# --- the difference -------------------------------------------------------------------------------


RECORD, RECORD_2 = record(indexed(A, b"1")), record(indexed(A, b"2"))
LATE = msgspec.structs.replace(RECORD, record={**RECORD.record, "timestamp": AT + 1})
REJECT, REJECT_2 = reject(rejected(A, b"1")), reject(rejected(A, b"2"))
PIN = Pin(identity=None, extractor=1, at=1, reason="")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, RECORD, CommitChanges(added=[A])),
        (RECORD, RECORD_2, CommitChanges(replaced=[A])),
        (RECORD, RECORD, CommitChanges()),
        (None, LATE, CommitChanges(added=[A], warned=[A])),
        (LATE, LATE, CommitChanges()),
        (RECORD, None, CommitChanges(removed=[A])),
        (RECORD, REJECT, CommitChanges(removed=[A], rejected=[A], rejects_changed=True)),
        (None, REJECT, CommitChanges(rejected=[A], rejects_changed=True)),
        (REJECT, REJECT_2, CommitChanges(rejected=[A], rejects_changed=True)),
        (REJECT, REJECT, CommitChanges()),
        (REJECT, None, CommitChanges(rejects_changed=True)),
        (REJECT, RECORD, CommitChanges(added=[A], rejects_changed=True)),
        (RECORD, PIN, CommitChanges(removed=[A])),
        (PIN, RECORD, CommitChanges(added=[A])),
        (PIN, REJECT, CommitChanges(rejected=[A], rejects_changed=True)),
    ],
)
def test_a_difference_tells_what_clients_and_people_see_change(
    old: Entry | None, new: Entry | None, expected: CommitChanges
) -> None:
    difference = CommitChanges()
    difference.add_entries({A: old} if old else {}, {A: new} if new else {})
    assert difference == expected
    assert difference.rejects_changed == (old != new and Reject in (type(old), type(new)))


def test_differences_of_several_commits_add_up() -> None:
    one = CommitChanges(added=[A], replaced=[A2], removed=[B], rejected=[C], rejects_changed=True)
    other = CommitChanges(added=[B], replaced=[C], removed=[A], rejected=[A2])
    total = CommitChanges()
    for each in (one, other):
        total.extend(each)
    assert total == CommitChanges(
        added=[A, B], replaced=[A2, C], removed=[B, A], rejected=[C, A2], rejects_changed=True
    )


def test_the_differences_of_one_name_are_told_in_the_order_of_its_files() -> None:
    filenames = [f"alpha-1.0-{number}.conda" for number in range(8)]
    bad, *good = filenames
    difference = CommitChanges()
    difference.add_entries({bad: REJECT}, dict.fromkeys(reversed(good), RECORD))
    assert difference == CommitChanges(added=good, rejects_changed=True)


def flood(count: int) -> dict[str, apply_staging.Verdict | None]:
    """So many files of one name that cannot be indexed."""
    return {
        name: rejected(name, b"bad") for name in (f"alpha-{n:05}-0.conda" for n in range(count))
    }


def test_a_thousand_rejects_of_one_name_keep_their_sentences_and_the_others_their_codes() -> None:
    entries = apply_staging.apply_verdicts({}, flood(REJECT_SENTENCES_PER_NAME_MAX), at=AT)
    assert all(isinstance(one, Reject) and one.sentence for one in entries.values())
    after = apply_staging.apply_verdicts(entries, flood(3000), at=LATER)
    kept = [name for name, one in after.items() if isinstance(one, Reject) and one.sentence]
    assert kept == list(entries)
    assert {one.code for one in after.values() if isinstance(one, Reject)} == {"zip-invalid"}


@pytest.mark.parametrize("other", ["alpha-00000-1.conda", "alpha-99999-0.conda"])
@pytest.mark.parametrize("kind", ["indexed", "gone", "without a sentence"])
def test_what_else_a_merge_judges_lets_no_further_sentence_in(other: str, kind: str) -> None:
    limit = REJECT_SENTENCES_PER_NAME_MAX
    full = apply_staging.apply_verdicts({}, flood(limit), at=AT)
    before = full | {other: reject(msgspec.structs.replace(rejected(other), sentence=""))}
    if kind != "without a sentence":
        del before[other]
    verdicts: dict[str, apply_staging.Verdict | None] = {
        "alpha-50000-0.conda": rejected("alpha-50000-0.conda", b"bad"),
        other: {"indexed": indexed(other), "gone": None}.get(kind, rejected(other)),
    }
    after = apply_staging.apply_verdicts(before, verdicts, at=LATER)
    assert sum(isinstance(one, Reject) and one.sentence != "" for one in after.values()) == limit
    assert (other in after) is (kind != "gone")


def test_which_rejects_keep_their_sentences_does_not_depend_on_their_order() -> None:
    verdicts = flood(1500)
    backwards = dict(reversed(verdicts.items()))
    assert apply_staging.apply_verdicts({}, verdicts, at=AT) == apply_staging.apply_verdicts(
        {}, backwards, at=AT
    )


def test_rejects_of_new_files_beyond_the_room_are_left_out() -> None:
    before: dict[str, Entry] = {A: record(indexed(A)), B: reject(rejected(B, b"bad"))}
    verdicts = {A: rejected(A, b"bad"), B: rejected(B, b"worse"), **flood(3)}
    after = apply_staging.apply_verdicts(before, verdicts, at=LATER)
    for room, left_out in ((5, 0), (3, 0), (2, 1), (0, 3), (-7, 3)):
        kept, count = apply_staging.limit_new_rejects(before, after, room=room)
        assert count == left_out
        assert list(kept) == list(after)[: len(after) - left_out]
        assert isinstance(kept[A], Reject), "what was in the index has left it in any case"


@pytest.mark.parametrize("extractor", [1, 2])
def test_only_an_archived_object_turns_its_record_into_a_reject_and_only_by_as_new_an_extractor(
    extractor: int,
) -> None:
    good = indexed(A, b"good", extractor=1)
    for code, is_replaced in (("archived", True), ("zip-invalid", extractor > 1)):
        verdict = msgspec.structs.replace(
            rejected(A, identity=good.identity, extractor=extractor), code=code
        )
        after = apply_staging.apply_verdicts({A: record(good)}, {A: verdict}, at=LATER)
        assert isinstance(after[A], Reject) is is_replaced
        newer = record(msgspec.structs.replace(good, extractor=3))
        assert apply_staging.apply_verdicts({A: newer}, {A: verdict}, at=LATER) == {A: newer}


def test_an_archived_object_that_can_be_read_again_is_indexed_again() -> None:
    good = indexed(A, b"good")
    archived = msgspec.structs.replace(rejected(A, identity=good.identity), code="archived")
    after = apply_staging.apply_verdicts({A: reject(archived)}, {A: good}, at=LATER)
    assert after == {A: record(good, since=LATER)}


@pytest.mark.parametrize(("extractor", "is_believed"), [(1, False), (2, True), (3, True)])
def test_an_archived_object_that_turns_out_to_be_bad_has_the_reason_for_that(
    extractor: int,
    is_believed: bool,  # noqa: FBT001 - the two cases
) -> None:
    archived = msgspec.structs.replace(rejected(A, b"bad", extractor=2), code="archived")
    bad = msgspec.structs.replace(rejected(A, b"bad", extractor=extractor), code="zip-invalid")
    after = apply_staging.apply_verdicts({A: reject(archived)}, {A: bad}, at=LATER)
    assert after == {A: reject(bad, at=LATER) if is_believed else reject(archived)}


def test_an_archived_object_that_is_judged_archived_again_changes_nothing() -> None:
    archived = msgspec.structs.replace(rejected(A, b"bad"), code="archived")
    known = {A: reject(archived)}
    assert apply_staging.apply_verdicts(known, {A: archived}, at=LATER) == known


def test_a_verdict_on_an_archived_object_does_not_outlive_the_restore() -> None:
    archived = msgspec.structs.replace(rejected(A, b"good"), code="archived")
    still = msgspec.structs.replace(rejected(B, b"good"), code="archived")
    verdicts = {A: archived, B: still, C: rejected(C, b"bad"), A2: None}
    asked: list[str] = []

    def restored(filenames: Iterable[str]) -> frozenset[str]:
        asked.extend(filenames)
        return frozenset({A})

    after = apply_staging.without_restored(verdicts, restored)
    assert after == {B: still, C: verdicts[C], A2: None}
    assert asked == [A, B], "nobody asks about other verdicts"


def test_where_nothing_is_archived_nothing_is_asked() -> None:
    verdicts = {A: rejected(A, b"bad"), B: None}
    assert apply_staging.without_restored(verdicts, lambda _files: frozenset("never")) is verdicts
