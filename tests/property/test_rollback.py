"""After a rollback the index holds what it held, as far as that is there, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from sluice.admin.changes.rollback import NameRollback, plan_name_rollback
from sluice.catalog.entry import Entries, Entry, Pin, Record, Reject
from sluice.merge.apply_staging import apply_edits
from sluice.storage.object_id import ObjectId

FILES = [f"alpha-{number}-0.conda" for number in range(4)]
IDENTITIES = st.builds(
    ObjectId, st.sampled_from(['"a"', '"b"', '"in parts-2"']), st.integers(1, 2), st.just(1)
)
CONTENT = {'"a"': "a", '"b"': "b", '"in parts-2"': "a"}
"""SHA-256, in a manner of speaking: the same bytes may have been uploaded in parts."""


def record(identity: ObjectId, extractor: int) -> Record:
    return Record(
        identity=identity,
        extractor=extractor,
        record={"sha256": CONTENT[identity.etag], "read_by": extractor},
    )


def reject(identity: ObjectId) -> Reject:
    return Reject(identity=identity, extractor=1, code="x", sentence="x", at=1)


def pin(identity: ObjectId) -> Pin:
    return Pin(identity=identity, extractor=1, at=1, reason="x")


ENTRIES = st.dictionaries(
    st.sampled_from(FILES),
    st.one_of(
        st.builds(record, IDENTITIES, st.integers(1, 2)),
        st.builds(reject, IDENTITIES),
        st.builds(pin, IDENTITIES),
    ),
)
THERE = st.fixed_dictionaries({file: st.none() | IDENTITIES for file in FILES})


def turn(then: Entries, now: Entries, there: dict[str, ObjectId | None]) -> NameRollback:
    return plan_name_rollback(then, now, there, at=5, reason="why")


def records(entries: Entries) -> dict[str, Record]:
    return {file: entry for file, entry in entries.items() if isinstance(entry, Record)}


def same_object(entry: Entry, found: ObjectId | None) -> bool:
    known = entry.identity
    return bool(found and known and (found.etag, found.size) == (known.etag, known.size))


@given(then=ENTRIES, now=ENTRIES, there=THERE)
def test_the_index_holds_what_it_held_and_what_is_there(
    then: Entries, now: Entries, there: dict[str, ObjectId | None]
) -> None:
    done = turn(then, now, there)
    after = apply_edits(now, done.edits)
    for file, entry in records(after).items():
        old = then.get(file)
        assert isinstance(old, Record), "it was in the index then"
        assert entry.record == old.record
    for file, old in records(then).items():
        if then.get(file) == now.get(file):
            assert after[file] == old, "what did not change is not touched"
        elif same_object(old, there[file]):
            kept = after[file]
            assert isinstance(kept, Record), "its object is there, so it is back"
            assert kept.identity == there[file]
        elif file not in records(after):
            assert (file in done.gone) == (there[file] is None)
            assert (file in done.changed) == (there[file] is not None)


@given(then=ENTRIES, now=ENTRIES, there=THERE)
def test_what_leaves_the_index_is_pinned_as_it_is_there(
    then: Entries, now: Entries, there: dict[str, ObjectId | None]
) -> None:
    done = turn(then, now, there)
    after = apply_edits(now, done.edits)
    left = records(now).keys() - records(after).keys()
    assert set(done.pinned) == {file for file in left if there[file]}
    for file in left:
        kept = after.get(file)
        if there[file] is None:
            assert kept is None
        else:
            known = now[file]
            assert isinstance(known, Record)
            is_that_object = known.identity == there[file]
            digest = known.record["sha256"] if is_that_object else UNSET
            assert kept == Pin(
                identity=there[file], extractor=2**31 - 1, at=5, reason="why", sha256=digest
            )
    for file, entry in now.items():
        if not isinstance(entry, Record) and file not in done.restored:
            assert after[file] == entry, "rejects and pins stay"


@given(then=ENTRIES, now=ENTRIES, there=THERE)
def test_to_go_back_again_changes_nothing(
    then: Entries, now: Entries, there: dict[str, ObjectId | None]
) -> None:
    after = apply_edits(now, turn(then, now, there).edits)
    assert turn(then, after, there).edits == {}
