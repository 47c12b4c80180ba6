"""Leaves and shards: what is known of one name's files, and what clients see of it."""

from __future__ import annotations

from hashlib import sha256

import msgpack
import msgspec
import pytest

from sluice.catalog import codec, node, shard
from sluice.catalog import entry as leaf
from sluice.catalog.client_view import ClientView
from sluice.catalog.entry import Entry, Leaf, Pin, Record, Reject
from sluice.catalog.tree import Node
from sluice.errors import TooNew
from tests.support.staging_records import A2, A, identity_of, record_of
from tests.support.subdir_world import unzstd

AT = 1_750_000_000_000


def record(filename: str, body: bytes = b"", *, since: int = AT) -> Record:
    """A good file."""
    fields = {**record_of(filename, body), "indexed_timestamp": since}
    return Record(identity=identity_of(body), extractor=1, record=fields)


REJECT = Reject(identity=identity_of(b"r"), extractor=2, code="c", sentence="S.", at=AT)
PIN = Pin(identity=None, extractor=3, at=AT, reason="withdrawn")
EVERY_KIND: dict[str, Entry] = {"alpha-1-0.conda": record("alpha-1-0.conda"), "r": REJECT, "p": PIN}


def test_a_leaf_comes_back_with_every_kind_of_entry() -> None:
    body = node.render_node("alpha", EVERY_KIND, at=AT).leaf_body
    assert leaf.decode_leaf(body, what="leaf") == Leaf(at=AT, entries=EVERY_KIND)


def test_a_leaf_of_a_newer_format_is_refused() -> None:
    body = codec.pack_struct(Leaf(at=AT, entries={}, format=2), what="thing")
    with pytest.raises(TooNew, match="leaf has format 2"):
        leaf.decode_leaf(body, what="leaf")


def test_a_node_tells_what_its_leaf_and_shard_hold() -> None:
    entries: dict[str, Entry] = {
        A: record(A, b"1", since=AT),
        A2: record(A2, b"22", since=AT - 7),
        "alpha-3.0-0.conda": REJECT,
        "alpha-4.0-0.conda": PIN,
    }
    rendered = node.render_node("alpha", entries, at=AT)
    assert rendered.shard_body
    assert rendered.node == Node(
        leaf=sha256(rendered.leaf_body).digest(),
        shard=sha256(rendered.shard_body).digest(),
        listing=leaf.listing_digest(leaf.listed_files(entries)),
        records=2,
        rejects=1,
        extractor=1,
        oldest=AT - 7,
        newest=AT,
    )


def test_what_is_kept_out_on_purpose_stands_in_the_shard_as_removed() -> None:
    entries: dict[str, Entry] = {
        A: record(A),
        "alpha-4.0-0.conda": PIN,
        "alpha-3.0-0.conda": PIN,
        A2: REJECT,
    }
    body = node.render_node("alpha", entries, at=AT).shard_body
    assert body
    assert msgpack.unpackb(unzstd(body))["removed"] == ["alpha-3.0-0.conda", "alpha-4.0-0.conda"]


def test_nobody_judges_a_pin_so_none_is_ever_outdated() -> None:
    old = msgspec.structs.replace(PIN, extractor=0)
    assert node.render_node("alpha", {A: record(A), A2: old}, at=AT).node.extractor == 1
    assert node.render_node("alpha", {A2: old}, at=AT).node.extractor == leaf.NEVER_OUTDATED


def test_a_name_without_records_has_no_shard() -> None:
    rendered = node.render_node("alpha", {A: REJECT, A2: PIN}, at=AT)
    assert rendered.shard_body is None
    assert (rendered.node.shard, rendered.node.records) == (None, 0)
    assert (rendered.node.oldest, rendered.node.newest) == (None, None)


def test_files_without_a_parsable_name_have_no_shard_either() -> None:
    taken_over = Record(identity=identity_of(), extractor=0, record={"indexed_timestamp": AT})
    rendered = node.render_node("", {"Odd Name.conda": taken_over}, at=AT)
    assert (rendered.shard_body, rendered.node.records) == (None, 1)


def test_the_same_content_in_another_commit_has_another_name() -> None:
    one, other = (node.render_node("alpha", {A: record(A)}, at=at) for at in (AT, AT + 1))
    assert one.node.leaf != other.node.leaf
    assert one.node.shard != other.node.shard


def test_the_order_in_which_entries_came_does_not_show() -> None:
    entries: dict[str, Entry] = {A: record(A), A2: record(A2)}
    turned: dict[str, Entry] = {}
    for filename, entry in reversed(entries.items()):
        assert isinstance(entry, Record)
        fields = dict(reversed(entry.record.items()))
        turned[filename] = Record(identity=entry.identity, extractor=1, record=fields)
    assert node.render_node("alpha", turned, at=AT) == node.render_node("alpha", entries, at=AT)


def test_a_shard_is_what_cep_16_says_with_digests_as_bytes() -> None:
    rendered = node.render_node("alpha", {A: record(A, b"1"), A2: record(A2, b"2")}, at=AT)
    assert rendered.shard_body
    expected = {
        filename: {
            **record(filename, body).record,
            "sha256": sha256(body).digest(),
            "md5": bytes.fromhex(record_of(filename, body)["md5"]),
        }
        for filename, body in ((A, b"1"), (A2, b"2"))
    }
    assert msgpack.unpackb(unzstd(rendered.shard_body)) == {
        "at": AT,
        "packages": {A2: expected[A2]},
        "packages.conda": {A: expected[A]},
        "removed": [],
    }


@pytest.mark.parametrize(("field", "value"), [("md5", None), ("md5", ""), ("license", "MIT")])
def test_what_is_no_digest_stays_as_it_is_in_a_shard(field: str, value: object) -> None:
    body = shard.encode_shard(ClientView(records={A: {field: value}}), at=AT)
    assert msgpack.unpackb(unzstd(body))["packages.conda"] == {A: {field: value}}


def test_a_shard_always_has_both_package_maps() -> None:
    assert msgpack.unpackb(unzstd(shard.encode_shard(ClientView(), at=AT))) == {
        "at": AT,
        "packages": {},
        "packages.conda": {},
        "removed": [],
    }


def test_a_listing_digest_follows_from_names_etags_and_sizes_and_nothing_else() -> None:
    def digest(**entries: Entry) -> bytes:
        return leaf.listing_digest(leaf.listed_files(entries))

    there = msgspec.structs.replace(PIN, identity=identity_of(b"p"))
    larger = msgspec.structs.replace(identity_of(b"r"), size=2)
    later = msgspec.structs.replace(identity_of(b"r"), modified=7)
    base = digest(a=REJECT, b=there)
    assert base == digest(b=there, a=record(A, b"r"))  # same object, other verdict
    assert base == digest(b=there, a=msgspec.structs.replace(REJECT, identity=later))
    assert base == digest(a=REJECT, b=there, c=PIN)  # on a file that is not there
    assert len(base) == 16
    others = [
        digest(a=REJECT),
        digest(b=REJECT, a=there),
        digest(a=record(A, b"s"), b=there),
        digest(a=msgspec.structs.replace(REJECT, identity=larger), b=there),
        digest(),
    ]
    assert len({base, *others}) == 6


def test_a_listing_digest_is_the_same_from_a_listing_in_any_order() -> None:
    entries: dict[str, Entry] = {A: record(A, b"1"), A2: REJECT, "p": PIN}
    listing = [
        leaf.ListedFile(filename, identity.etag, identity.size)
        for filename, identity in ((A2, identity_of(b"r")), (A, identity_of(b"1")))
    ]
    assert leaf.listing_digest(listing) == node.render_node("alpha", entries, at=AT).node.listing
