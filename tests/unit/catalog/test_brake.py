"""What the brake decides, case by case; ``tests/property/test_brake.py`` has what always holds."""

from __future__ import annotations

from hashlib import sha256

import pytest
from msgspec import structs

from sluice.catalog.brake import (
    DAY_MS,
    BrakeState,
    MissingFile,
    RemovalDecision,
    WaitingRemovals,
    decide_removals,
    decode_brake_state,
    describe_invalid_digest,
    encode_brake_state,
    exceeds_removal_limit,
    filenames_digest,
)
from sluice.errors import Corrupt, TooNew

DAYS = 3
NOW = 1_750_000_000_000
NOTHING = BrakeState()
Gone = dict[str, MissingFile]


def files(first: int, last: int) -> list[str]:
    return [f"package{number:04}-1-0.conda" for number in range(first, last)]


def records(first: int, last: int, *, uploaded_ms: int = 0) -> Gone:
    missing = MissingFile(indexed=True, modified=uploaded_ms // 1000)
    return dict.fromkeys(files(first, last), missing)


def rejects(first: int, last: int) -> Gone:
    return dict.fromkeys(files(first, last), MissingFile(indexed=False, modified=0))


def at(names: list[str], when: int) -> dict[str, int]:
    return dict.fromkeys(names, when)


def decided(
    state: BrakeState,
    gone: Gone,
    shown: int,
    *,
    now_ms: int = NOW,
    days: int = DAYS,
    confirm: str | None = None,
) -> RemovalDecision:
    """Decide, and once more with the state that came of it, which must change nothing."""
    first = decide_removals(state, gone, shown, now_ms=now_ms, days=days, confirm=confirm)
    again = decide_removals(first.state, gone, shown, now_ms=now_ms, days=days)
    assert (again.state, again.to_remove) == (first.state, first.to_remove)
    return first


@pytest.mark.parametrize(
    ("missing", "of", "too_many"),
    [
        (50, 50, True),
        (49, 49, False),
        (26, 50, True),
        (25, 50, False),
        (501, 1000, True),
        (500, 1000, False),
        (0, 0, False),
    ],
)
def test_more_than_half_of_fifty_or_more_is_too_many(
    missing: int, of: int, *, too_many: bool
) -> None:
    assert exceeds_removal_limit(missing, of) == too_many


def test_half_of_an_index_is_removed_at_once_and_noted() -> None:
    gone = records(0, 500)
    assert decided(NOTHING, gone, 1000) == RemovalDecision(
        BrakeState(removed=at(files(0, 500), NOW)), files(0, 500), None, confirmed=False
    )


def test_more_than_half_waits_and_says_how_much_since_when_and_until_when() -> None:
    gone = {**records(0, 900), **rejects(2000, 2007)}
    names = files(0, 900) + files(2000, 2007)
    assert decided(NOTHING, gone, 1000) == RemovalDecision(
        BrakeState(pending=at(names, NOW)),
        [],
        WaitingRemovals(
            files=907,
            packages=900,
            of=1000,
            digest=filenames_digest(names),
            since=NOW,
            until=NOW + DAYS * DAY_MS,
        ),
        confirmed=False,
    )


def test_a_digest_is_of_the_names_whatever_their_order() -> None:
    names = ["b-1-0.conda", "a-1-0.conda"]
    expected = sha256(b"a-1-0.conda\nb-1-0.conda").hexdigest()[:12]
    assert filenames_digest(names) == filenames_digest(reversed(names)) == expected
    assert filenames_digest(names[:1]) != expected


def test_rejects_and_pins_do_not_count_but_wait_with_the_others() -> None:
    of_rejects = decided(NOTHING, rejects(0, 900), 100)
    assert (of_rejects.to_remove, of_rejects.state) == (files(0, 900), NOTHING)
    both = decided(NOTHING, {**records(0, 60), **rejects(100, 110)}, 100)
    assert both.to_remove == []
    assert both.waiting
    assert (both.waiting.files, both.waiting.packages) == (70, 60)


def test_a_digest_confirms_that_set_and_no_other() -> None:
    gone = records(0, 900)
    before = decided(NOTHING, gone, 1000).state
    other = decided(before, gone, 1000, confirm=filenames_digest(files(0, 899)))
    assert (other.to_remove, other.confirmed) == ([], False)
    same = decided(before, gone, 1000, confirm=filenames_digest(files(0, 900)))
    assert (same.to_remove, same.waiting, same.confirmed) == (files(0, 900), None, True)


def test_what_was_confirmed_needs_no_second_word() -> None:
    gone = records(0, 900)
    confirmed = decided(NOTHING, gone, 1000, confirm=filenames_digest(gone)).state
    # Some of it was committed before the run died.
    left = decided(confirmed, records(100, 900), 900, now_ms=NOW + 60_000)
    assert left.to_remove == files(100, 900)


def test_a_confirmation_holds_whatever_the_clock_of_whoever_gives_it() -> None:
    gone = records(0, 900, uploaded_ms=NOW + 5 * 60_000)  # by S3's clock, which is ahead of it
    found = decided(NOTHING, gone, 1000, confirm=filenames_digest(gone))
    assert (found.to_remove, found.confirmed) == (files(0, 900), True)


def test_what_was_confirmed_is_not_once_it_was_uploaded_again() -> None:
    gone = records(0, 900)
    confirmed = decided(NOTHING, gone, 1000, confirm=filenames_digest(gone)).state
    again = records(0, 900, uploaded_ms=NOW + DAY_MS)
    assert decided(confirmed, again, 1000, now_ms=NOW + 2 * DAY_MS).to_remove == []


def test_what_was_confirmed_or_has_waited_counts_for_no_later_removal() -> None:
    gone = records(0, 900)
    confirmed = decided(NOTHING, gone, 1000, confirm=filenames_digest(gone)).state
    later = NOW + DAYS * DAY_MS
    waited = decided(decided(NOTHING, gone, 1000).state, gone, 1000, now_ms=later).state
    for state, now_ms in ((confirmed, NOW), (waited, later)):
        small = decided(state, records(900, 940), 100, now_ms=now_ms)
        assert small.to_remove == files(900, 940)


@pytest.mark.parametrize(("hours", "carried_out"), [(71, 0), (72, 900), (1000, 900)])
def test_what_waits_goes_when_its_days_are_over(hours: int, carried_out: int) -> None:
    gone = records(0, 900)
    before = decided(NOTHING, gone, 1000).state
    found = decided(before, gone, 1000, now_ms=NOW + hours * 3_600_000)
    assert found.to_remove == files(0, carried_out)


def test_the_days_are_counted_for_each_file() -> None:
    day = DAY_MS
    state = decided(NOTHING, records(0, 600), 1000).state
    state = decided(state, records(0, 700), 1000, now_ms=NOW + 2 * day).state
    found = decided(state, records(0, 750), 1000, now_ms=NOW + 3 * day)
    assert found.to_remove == files(0, 600)
    assert found.waiting
    waiting = found.waiting
    assert (waiting.files, waiting.since, waiting.until) == (150, NOW + 2 * day, NOW + 6 * day)


def test_what_came_back_begins_anew_when_it_goes_again() -> None:
    day = DAY_MS
    state = decided(NOTHING, records(0, 900), 1000).state
    state = decided(state, records(0, 800), 1000, now_ms=NOW + 2 * day).state
    found = decided(state, records(0, 900), 1000, now_ms=NOW + 3 * day)
    assert found.to_remove == files(0, 800)


def test_what_was_uploaded_again_begins_anew_though_no_comparison_saw_it_there() -> None:
    state = decided(NOTHING, records(0, 900), 1000).state
    gone = {**records(0, 400), **records(400, 900, uploaded_ms=NOW + DAY_MS)}
    found = decided(state, gone, 1000, now_ms=NOW + 3 * DAY_MS)
    assert found.to_remove == files(0, 400)
    assert found.waiting
    assert (found.waiting.since, found.waiting.files) == (NOW + 3 * DAY_MS, 500)


def test_a_removal_below_the_brake_ends_the_waiting() -> None:
    state = decided(NOTHING, records(0, 900), 1000).state
    state = decided(state, records(0, 10), 1000, now_ms=NOW + DAY_MS).state
    assert state.pending == {}


def test_a_third_today_and_a_third_tomorrow_is_one_removal() -> None:
    state = decided(NOTHING, records(0, 333), 1000).state
    found = decided(state, records(333, 666), 667, now_ms=NOW + DAY_MS)
    assert found.to_remove == []
    assert found.waiting
    assert (found.waiting.packages, found.waiting.of) == (333, 1000)


def test_a_third_today_and_a_third_after_the_days_are_two() -> None:
    state = decided(NOTHING, records(0, 333), 1000).state
    found = decided(state, records(333, 666), 667, now_ms=NOW + DAYS * DAY_MS)
    assert found.to_remove == files(333, 666)
    assert found.state.removed == at(files(333, 666), NOW + DAYS * DAY_MS)


def test_removals_that_no_merge_has_committed_yet_are_not_counted_twice() -> None:
    gone = records(0, 400)
    state = decided(NOTHING, gone, 1000).state
    again = decided(state, gone, 1000, now_ms=NOW + 60_000)
    assert again.to_remove == files(0, 400)


def test_with_0_days_nothing_waits_and_nothing_is_kept() -> None:
    before = decided(NOTHING, records(0, 900), 1000).state
    found = decided(before, records(0, 900), 1000, days=0)
    assert found == RemovalDecision(NOTHING, files(0, 900), None, confirmed=False)


def test_a_clock_that_was_ahead_makes_nothing_wait_until_it_is_right() -> None:
    ahead = NOW + 1000 * DAY_MS
    gone = records(0, 900)
    state = decided(NOTHING, gone, 1000, now_ms=ahead).state
    state = structs.replace(state, removed=at(files(1000, 1100), ahead))
    state = decided(state, gone, 1000).state
    assert set(state.removed.values()) == set(state.pending.values()) == {NOW}
    assert decided(state, gone, 1000, now_ms=NOW + DAYS * DAY_MS).to_remove == files(0, 900)


def test_a_hundred_thousand_missing_files_are_decided_on_and_stored() -> None:
    gone = records(0, 100_000)
    state = decide_removals(NOTHING, gone, 150_000, now_ms=NOW, days=DAYS).state
    assert decode_brake_state(encode_brake_state(state), what="brakes") == state
    assert (
        len(decide_removals(state, gone, 150_000, now_ms=NOW + 3 * DAY_MS, days=DAYS).to_remove)
        == 10**5
    )


def test_what_is_stored_says_its_format() -> None:
    with pytest.raises(Corrupt, match="brakes/x has no format number"):
        decode_brake_state(b"{}", what="brakes/x")
    with pytest.raises(TooNew, match="brakes/x has format 99"):
        decode_brake_state(b'{"format": 99}', what="brakes/x")


@pytest.mark.parametrize("text", ["", "0123456789a", "0123456789AB", "0123456789ab0", "all"])
def test_what_is_no_digest_is_refused_with_what_to_give(text: str) -> None:
    assert describe_invalid_digest("0123456789ab") is None
    assert describe_invalid_digest(None) is None
    assert "use the digest from a report" in (describe_invalid_digest(text) or "")
