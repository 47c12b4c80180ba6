"""Every format that was ever shipped still opens, and what is written now is that format.

The files in ``format1/`` and ``format2/`` were written once and are never rewritten.  A new format
gets a folder of its own beside them, and a reader that still opens the old one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgpack
import pytest
from msgspec import structs

from sluice import zstd
from sluice.catalog import binding, brake, commit, entry, head, node, tree
from sluice.catalog.binding import Binding, binding_object
from sluice.catalog.brake import BrakeState
from sluice.catalog.codec import unpack_json
from sluice.catalog.commit import Amendment, Commit, InputChanges
from sluice.catalog.entry import Leaf, Pin, Record, Reject
from sluice.catalog.head import Head, head_object
from sluice.catalog.leaf_reader import LeafReader
from sluice.catalog.pack import LeafPlace, join_leaves
from sluice.catalog.reader import CatalogReader
from sluice.catalog.tree import ActivePatch, Node, Tree
from sluice.concurrency import in_order
from sluice.errors import TooNew
from sluice.extract import staging
from sluice.extract.staging import Indexed, Rejected, Removed
from sluice.layout import channel_binding_key
from sluice.publish.fence import Stamp
from sluice.reconcile import digest_progress, publication_log
from sluice.reconcile.digest_progress import DigestProgress
from sluice.reconcile.publication_log import Mark, Marks, write_marks
from sluice.reconcile.reconcile_cache import CachedHead, NoarchPatch, ReconcileCache
from sluice.storage.object_id import ObjectId
from sluice.takeover import progress
from sluice.takeover.progress import FinishedName, TakeOverProgress
from testkit.memory_store import MemoryStore
from tests.support.staging_records import SUBDIR
from tests.support.subdir_world import unzstd

FOLDER = Path(__file__).parent / "format1"
FOLDER_2 = Path(__file__).parent / "format2"
"""For what format 1 cannot say."""


AT = 1_750_000_000_000
IDENTITY = ObjectId('"900150983cd24fb0d6963f7d28e17f72"', 1_750_000_000, 3)
RECORD = {
    "build": "h1_0",
    "build_number": 1,
    "constrains": [],
    "depends": ["python >=3.9,<4"],
    "license": "MIT",
    "md5": "900150983cd24fb0d6963f7d28e17f72",
    "name": "alpha",
    "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "size": 3,
    "subdir": "linux-64",
    "timestamp": 1_700_000_000_000,
    "version": "1!2.0+cpu",
}
BESIDE: dict[str, Any] = {
    "digests_from": {"md5": "etag", "sha256": "uploader"},
    "run_exports": {"weak": ["alpha >=2"]},
    "channeldata": {"summary": "Äpfel", "binary_prefix": False},
}
FILE = "alpha-1!2.0+cpu-h1_0.conda"
JUDGED: dict[str, Any] = {"identity": IDENTITY, "extractor": 1}

INDEXED = Indexed(filename=FILE, at=AT, record=RECORD, **BESIDE, **JUDGED)
REJECTED = Rejected(filename=FILE, at=AT, code="zip-invalid", sentence="It is no zip.", **JUDGED)
REMOVED = Removed(filename=FILE, at=AT, extractor=1)
HEAD = Head(generation=7, epoch=2, commit="c0" * 32, tree="7e" * 32, writer="w" * 32)
COMMIT = Commit(
    generation=7,
    tree="7e" * 32,
    parent="c1" * 32,
    at=AT,
    added=[FILE],
    replaced=["beta-1-0.conda"],
    removed=["gamma-1-0.conda"],
    rejected=["gamma-1-0.conda"],
    taken_over=5,
    taken_over_shards="5a" * 32,
)
COMMIT_OF_A_PERSON = structs.replace(
    COMMIT,
    amendment=Amendment(
        reason="Built with the wrong compiler.",
        rolled_back_to=5,
        pinned=["gamma-1-0.conda"],
        unpinned=["beta-1-0.conda"],
    ),
)
COMMIT_WITH_INPUTS = structs.replace(
    COMMIT,
    inputs=InputChanges(
        config="changed",
        settings=["page"],
        patch="channel-patches-2-0.conda",
        refused=["sluice.toml cannot be used."],
    ),
)
LEAF = Leaf(
    at=AT,
    entries={
        FILE: Record(record={**RECORD, "indexed_timestamp": AT}, **BESIDE, **JUDGED),
        "alpha-2-0.conda": Reject(code="zip-invalid", sentence="It is no zip.", at=AT, **JUDGED),
        "alpha-3-0.conda": Pin(identity=None, extractor=0, at=AT, reason="withdrawn"),
    },
)
LEAF_WITH_DIGESTS = Leaf(
    at=AT,
    entries={
        FILE: Pin(identity=IDENTITY, extractor=0, at=AT, reason="withdrawn", sha256="ba" * 32)
    },
)
TREE = Tree(
    generation=7,
    at=AT,
    public=True,
    rejects_generation=6,
    names={
        "": Node(
            leaf=b"\1" * 32,
            shard=None,
            listing=b"\2" * 16,
            records=0,
            rejects=1,
            extractor=1,
            oldest=None,
            newest=None,
        ),
        "alpha": Node(
            leaf=b"\3" * 32,
            shard=b"\4" * 32,
            listing=b"\5" * 16,
            records=1,
            rejects=1,
            extractor=0,
            oldest=AT - 1,
            newest=AT,
        ),
    },
)

TREE_WITH_PINS = structs.replace(TREE, pinned=["alpha"])
TREE_WITH_INFO = structs.replace(
    TREE, info={"base_url": "../files/", "channel_relations": {"base": "../conda-forge"}}
)

PATCH = ActivePatch(
    package="patches-1-0.conda", sha256="9a" * 32, instructions="1f" * 32, at=AT - 1
)
MARKS = Marks(
    marks=[Mark(generation=7, tree="7e" * 32, commit="c0" * 32, published_at=AT)],
    settled="7e" * 32,
    memory=ReconcileCache(
        files={
            "current_repodata.json": CachedHead(identity=IDENTITY, stamp=None),
            "repodata.json": CachedHead(identity=IDENTITY, stamp=Stamp(7, "7e" * 32, "state")),
        },
        noarch=NoarchPatch(tree="7d" * 32, patch=PATCH),
    ),
)

MARKS_WHILE_WAITING = structs.replace(MARKS, waiting="0a" * 16)
BRAKES = BrakeState(
    removed={"beta-1-0.conda": AT}, pending={FILE: AT - 1}, confirmed={FILE: AT}, waiting="0a" * 16
)
DIGESTS = DigestProgress(
    day=20_254,
    packages_begun=3,
    bytes_begun=5 * 2**20,
    done=b"01234567abcdefgh",
    deferred=b"ABCDEFGH",
)

PROGRESS = TakeOverProgress(
    made_for="f0" * 32,
    not_after_ms=AT,
    names={
        "alpha": FinishedName(
            digest=b"\7" * 32,
            node=TREE.names["alpha"],
            taken_over=2,
            rejects_changed=True,
            has_pins=True,
        ),
        "beta": FinishedName(
            digest=b"\6" * 32, node=None, taken_over=0, rejects_changed=False, has_pins=False
        ),
    },
)

PROGRESS_AGAIN = structs.replace(PROGRESS, names={"beta": PROGRESS.names["beta"]}, attempt=2)

PACK = (FOLDER_2 / "pack").read_bytes()
PLACE, PLACE_WITH_DIGESTS = (
    LeafPlace(sha256(PACK).digest(), *part) for part in ((0, 520), (520, 191))
)
TREE_WITH_PACKS = structs.replace(
    TREE,
    names={
        "": TREE.names[""],
        "alpha": structs.replace(
            TREE.names["alpha"],
            leaf=sha256(PLACE.cut(PACK)).digest(),
            place=PLACE,
        ),
        "beta": structs.replace(
            TREE.names["alpha"],
            leaf=sha256(PLACE_WITH_DIGESTS.cut(PACK)).digest(),
            only_rejects=True,
            large_bytes=5,
            place=PLACE_WITH_DIGESTS,
        ),
    },
    format=2,
)
PROGRESS_WITH_PACKS = structs.replace(
    PROGRESS,
    names={
        **PROGRESS.names,
        "gamma": structs.replace(PROGRESS.names["alpha"], node=TREE_WITH_PACKS.names["alpha"]),
    },
    format=2,
)

BINDING = Binding(bucket="channel-bucket", endpoint="eu-central-1", created_at=AT, writer="w" * 32)
BINDING_MOVING = structs.replace(BINDING, bucket=None, moving_to="restored-bucket")
BINDING_RETIRING = structs.replace(BINDING, moving_to="channel-bucket", retiring=True)


def encode_binding(bound: Binding) -> bytes:
    """As ``binding_object`` writes it."""
    state = MemoryStore()
    binding_object(state, SUBDIR.channel).swap(bound, expected=None)
    return state.body(channel_binding_key(SUBDIR.channel))


def decode_binding(body: bytes) -> Binding:
    """As ``binding_object`` reads it."""
    return unpack_json(body, Binding, newest=binding.FORMAT, what="binding")


def encode_head(stored: Head) -> bytes:
    """As ``head_object`` writes it."""
    state = MemoryStore()
    head_object(state, SUBDIR).swap(stored, expected=None, not_after_ms=None)
    return state.body(SUBDIR.head_key)


def decode_head(body: bytes) -> Head:
    """As ``read_head`` reads it."""
    return unpack_json(body, Head, newest=head.FORMAT, what="head")


def encode_marks(marks: Marks) -> bytes:
    """As ``write_marks`` writes them."""
    state = MemoryStore()
    write_marks(state, SUBDIR, marks, expected=None)
    return state.body(SUBDIR.marks_key)


def decode_marks(body: bytes) -> Marks:
    """As ``read_marks`` reads them."""
    return unpack_json(body, Marks, newest=publication_log.FORMAT, what="marks")


Reader = Callable[[bytes], object]
Example = tuple[bytes, object, Reader]
EXAMPLES: Mapping[str, Example] = {
    "staged-indexed.json": (
        staging.encode_staging_record(INDEXED),
        INDEXED,
        staging.decode_staging_record,
    ),
    "staged-rejected.json": (
        staging.encode_staging_record(REJECTED),
        REJECTED,
        staging.decode_staging_record,
    ),
    "staged-removed.json": (
        staging.encode_staging_record(REMOVED),
        REMOVED,
        staging.decode_staging_record,
    ),
    "head.json": (encode_head(HEAD), HEAD, decode_head),
    "binding.json": (encode_binding(BINDING), BINDING, decode_binding),
    "binding-moving.json": (encode_binding(BINDING_MOVING), BINDING_MOVING, decode_binding),
    "binding-retiring.json": (encode_binding(BINDING_RETIRING), BINDING_RETIRING, decode_binding),
    "commit.json": (
        commit.encode_commit(COMMIT),
        COMMIT,
        lambda body: commit.decode_commit(body, what="commit"),
    ),
    "commit-of-a-person.json": (
        commit.encode_commit(COMMIT_OF_A_PERSON),
        COMMIT_OF_A_PERSON,
        lambda body: commit.decode_commit(body, what="commit"),
    ),
    "commit-with-inputs.json": (
        commit.encode_commit(COMMIT_WITH_INPUTS),
        COMMIT_WITH_INPUTS,
        lambda body: commit.decode_commit(body, what="commit"),
    ),
    "marks.json": (encode_marks(MARKS), MARKS, decode_marks),
    "marks-while-waiting.json": (
        encode_marks(MARKS_WHILE_WAITING),
        MARKS_WHILE_WAITING,
        decode_marks,
    ),
    "brakes.json": (
        brake.encode_brake_state(BRAKES),
        BRAKES,
        lambda body: brake.decode_brake_state(body, what="brakes"),
    ),
    "digests.msgpack.zst": (
        digest_progress.encode_digest_progress(DIGESTS),
        DIGESTS,
        lambda body: digest_progress.decode_digest_progress(body, what="digests"),
    ),
    "takeover.msgpack.zst": (
        progress.encode_progress(PROGRESS),
        PROGRESS,
        lambda body: progress.decode_progress(body, what="progress"),
    ),
    "takeover-again.msgpack.zst": (
        progress.encode_progress(PROGRESS_AGAIN),
        PROGRESS_AGAIN,
        lambda body: progress.decode_progress(body, what="progress"),
    ),
    "leaf.msgpack.zst": (
        node.render_node("alpha", LEAF.entries, at=AT).leaf_body,
        LEAF,
        lambda body: entry.decode_leaf(body, what="leaf"),
    ),
    "leaf-with-digests.msgpack.zst": (
        node.render_node("alpha", LEAF_WITH_DIGESTS.entries, at=AT).leaf_body,
        LEAF_WITH_DIGESTS,
        lambda body: entry.decode_leaf(body, what="leaf"),
    ),
    "tree.msgpack.zst": (
        tree.encode_tree(TREE),
        TREE,
        lambda body: tree.decode_tree(body, what="tree"),
    ),
    "tree-with-info.msgpack.zst": (
        tree.encode_tree(TREE_WITH_INFO),
        TREE_WITH_INFO,
        lambda body: tree.decode_tree(body, what="tree"),
    ),
    "tree-with-pins.msgpack.zst": (
        tree.encode_tree(TREE_WITH_PINS),
        TREE_WITH_PINS,
        lambda body: tree.decode_tree(body, what="tree"),
    ),
}


EXAMPLES_2: Mapping[str, Example] = {
    "pack": (join_leaves([PLACE.cut(PACK), PLACE_WITH_DIGESTS.cut(PACK)])[0], PACK, bytes),
    "tree-with-packs.msgpack.zst": (
        tree.encode_tree(TREE_WITH_PACKS),
        TREE_WITH_PACKS,
        lambda body: tree.decode_tree(body, what="tree"),
    ),
    "takeover-with-packs.msgpack.zst": (
        progress.encode_progress(PROGRESS_WITH_PACKS),
        PROGRESS_WITH_PACKS,
        lambda body: progress.decode_progress(body, what="progress"),
    ),
}


NEWEST = {
    "staged": staging.FORMAT,
    "head": head.FORMAT,
    "binding": binding.FORMAT,
    "commit": commit.FORMAT,
    "marks": publication_log.FORMAT,
    "brakes": brake.FORMAT,
    "digests": digest_progress.FORMAT,
    "leaf": entry.FORMAT,
    "takeover": progress.FORMAT,
    "tree": tree.FORMAT,
}
"""The newest format of each kind, by the first word of the names of its examples."""


def kind(name: str) -> str:
    """The kind of an example."""
    return re.split(r"[-.]", name)[0]


def content(body: bytes) -> object:
    """What stands in the bytes: compression may change, it is not the format."""
    return msgpack.unpackb(unzstd(body)) if body[:1] != b"{" else body


def in_format(newer: int, body: bytes) -> bytes:
    """The same as a newer sluice might have written it."""
    if body[:1] == b"{":
        return body.replace(b'"format":1', f'"format":{newer}'.encode())
    return zstd.compress(msgpack.packb({**msgpack.unpackb(unzstd(body)), "format": newer}))


def golden(name: str) -> bytes:
    """What was written once."""
    return ((FOLDER if name in EXAMPLES else FOLDER_2) / name).read_bytes()


EVERYTHING = {**EXAMPLES, **EXAMPLES_2}
DOCUMENTS = [name for name in EVERYTHING if name != "pack"]
"""What says its format: the leaves of a pack say it, each for itself."""


def test_there_is_an_example_of_everything_that_is_stored() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(EXAMPLES)
    assert {path.name for path in FOLDER_2.iterdir()} == set(EXAMPLES_2)


@pytest.mark.parametrize("name", EVERYTHING)
def test_what_a_format_wrote_still_opens(name: str) -> None:
    _, expected, read = EVERYTHING[name]
    assert read(golden(name)) == expected


def test_a_pack_is_its_leaves_and_nothing_else() -> None:
    leaves = [PLACE.cut(PACK), PLACE_WITH_DIGESTS.cut(PACK)]
    assert join_leaves(leaves) == (PACK, [PLACE, PLACE_WITH_DIGESTS])
    assert [entry.decode_leaf(body, what="leaf") for body in leaves] == [LEAF, LEAF_WITH_DIGESTS]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_written_now_is_that_format(name: str) -> None:
    written, _, _ = EVERYTHING[name]
    assert content(written) == content(golden(name))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_a_newer_sluice_wrote_is_refused_by_name(name: str) -> None:
    _, _, read = EVERYTHING[name]
    newer = NEWEST[kind(name)] + 1
    with pytest.raises(TooNew, match=f"format {newer}"):
        read(in_format(newer, golden(name)))


def test_the_leaves_of_a_pack_are_read_from_it_whole_and_in_parts() -> None:
    state = MemoryStore()
    state.upload(SUBDIR.pack_key(PLACE.pack.hex()), golden("pack"))
    tree_with_packs = tree.decode_tree(golden("tree-with-packs.msgpack.zst"), what="tree")
    nodes = [tree_with_packs.names["alpha"], tree_with_packs.names["beta"]]
    expected = [LEAF.entries, LEAF_WITH_DIGESTS.entries]
    catalog = CatalogReader(state, SUBDIR, in_order)
    assert [catalog.entries([node])[0] for node in nodes] == expected
    reader = LeafReader(state, SUBDIR)
    bodies = reader.read_group(nodes)
    assert [entry.decode_leaf(body or b"", what="leaf").entries for body in bodies] == expected


def test_a_staging_record_is_this_document() -> None:
    assert (FOLDER / "staged-indexed.json").read_text(encoding="utf-8") == (
        '{"verdict":"indexed","filename":"alpha-1!2.0+cpu-h1_0.conda","extractor":1,'
        '"at":1750000000000,"format":1,'
        '"identity":{"etag":"\\"900150983cd24fb0d6963f7d28e17f72\\"","modified":1750000000,"size":3},'
        '"record":{"build":"h1_0","build_number":1,"constrains":[],"depends":["python >=3.9,<4"],'
        '"license":"MIT","md5":"900150983cd24fb0d6963f7d28e17f72","name":"alpha",'
        '"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","size":3,'
        '"subdir":"linux-64","timestamp":1700000000000,"version":"1!2.0+cpu"},'
        '"digests_from":{"md5":"etag","sha256":"uploader"},'
        '"run_exports":{"weak":["alpha >=2"]},'
        '"channeldata":{"binary_prefix":false,"summary":"Äpfel"}}'
    )


def test_a_head_is_this_document() -> None:
    assert (FOLDER / "head.json").read_text() == (
        f'{{"generation":7,"epoch":2,"commit":"{"c0" * 32}","tree":"{"7e" * 32}",'
        f'"writer":"{"w" * 32}","format":1}}'
    )


def test_a_binding_is_this_document() -> None:
    assert (FOLDER / "binding.json").read_text() == (
        '{"bucket":"channel-bucket","endpoint":"eu-central-1","created_at":1750000000000,'
        f'"writer":"{"w" * 32}","format":1}}'
    )
    assert (FOLDER / "binding-moving.json").read_text() == (
        '{"bucket":null,"moving_to":"restored-bucket","endpoint":"eu-central-1",'
        f'"created_at":1750000000000,"writer":"{"w" * 32}","format":1}}'
    )
    assert (FOLDER / "binding-retiring.json").read_text() == (
        '{"bucket":"channel-bucket","moving_to":"channel-bucket","retiring":true,'
        f'"endpoint":"eu-central-1","created_at":1750000000000,"writer":"{"w" * 32}","format":1}}'
    )


def test_a_commit_is_this_document() -> None:
    assert (FOLDER / "commit.json").read_text() == (
        f'{{"generation":7,"tree":"{"7e" * 32}","parent":"{"c1" * 32}","at":1750000000000,'
        '"added":["alpha-1!2.0+cpu-h1_0.conda"],"replaced":["beta-1-0.conda"],'
        '"removed":["gamma-1-0.conda"],"rejected":["gamma-1-0.conda"],"taken_over":5,'
        f'"taken_over_shards":"{"5a" * 32}","config":null,"patch":null,"format":1}}'
    )


def test_what_a_person_decided_is_one_more_key_of_a_commit() -> None:
    by_merge, by_person = (
        (FOLDER / name).read_text() for name in ("commit.json", "commit-of-a-person.json")
    )
    assert by_person == by_merge.replace(
        ',"format":1}',
        ',"amendment":{"reason":"Built with the wrong compiler.","rolled_back_to":5,'
        '"pinned":["gamma-1-0.conda"],"unpinned":["beta-1-0.conda"]},"format":1}',
    )


def test_what_changed_of_configuration_and_patch_is_one_more_key_of_a_commit() -> None:
    plain, with_inputs = (
        (FOLDER / name).read_text() for name in ("commit.json", "commit-with-inputs.json")
    )
    assert with_inputs == plain.replace(
        ',"format":1}',
        ',"inputs":{"config":"changed","settings":["page"],"patch":"channel-patches-2-0.conda",'
        '"patch_removed":false,"refused":["sluice.toml cannot be used."]},"format":1}',
    )


def test_marks_are_this_document() -> None:
    identity = '{"etag":"\\"900150983cd24fb0d6963f7d28e17f72\\"","modified":1750000000,"size":3}'
    assert (FOLDER / "marks.json").read_text() == (
        f'{{"marks":[{{"generation":7,"tree":"{"7e" * 32}","commit":"{"c0" * 32}",'
        f'"published_at":1750000000000}}],"settled":"{"7e" * 32}","memory":{{"files":{{'
        f'"current_repodata.json":{{"identity":{identity},"stamp":null}},'
        f'"repodata.json":{{"identity":{identity},'
        f'"stamp":{{"generation":7,"tree":"{"7e" * 32}","owner":"state"}}}}}},'
        f'"noarch":{{"tree":"{"7d" * 32}","patch":{{"package":"patches-1-0.conda",'
        f'"sha256":"{"9a" * 32}","instructions":"{"1f" * 32}","at":1749999999999}}}}}},"format":1}}'
    )


def test_a_time_of_waiting_is_one_more_key_of_marks() -> None:
    plain, waiting = (
        (FOLDER / name).read_text() for name in ("marks.json", "marks-while-waiting.json")
    )
    assert waiting == plain.replace(',"format":1}', f',"waiting":"{"0a" * 16}","format":1}}')


def test_a_brake_is_this_document() -> None:
    assert (FOLDER / "brakes.json").read_text() == (
        '{"removed":{"beta-1-0.conda":1750000000000},'
        '"pending":{"alpha-1!2.0+cpu-h1_0.conda":1749999999999},'
        '"confirmed":{"alpha-1!2.0+cpu-h1_0.conda":1750000000000},'
        f'"waiting":"{"0a" * 16}","format":1}}'
    )


def test_a_tree_is_this_mapping() -> None:
    assert msgpack.unpackb(unzstd((FOLDER / "tree.msgpack.zst").read_bytes())) == {
        "format": 1,
        "generation": 7,
        "at": AT,
        "public": True,
        "rejects_generation": 6,
        "names": {
            "": [b"\1" * 32, None, b"\2" * 16, 0, 1, 1, None, None],
            "alpha": [b"\3" * 32, b"\4" * 32, b"\5" * 16, 1, 1, 0, AT - 1, AT],
        },
    }


def test_which_names_have_pins_is_one_more_key_of_a_tree() -> None:
    plain, with_pins = (
        msgpack.unpackb(unzstd((FOLDER / name).read_bytes()))
        for name in ("tree.msgpack.zst", "tree-with-pins.msgpack.zst")
    )
    assert with_pins == {**plain, "pinned": ["alpha"]}


def test_what_a_taken_over_index_said_of_the_channel_is_one_more_key_of_a_tree() -> None:
    plain, with_info = (
        msgpack.unpackb(unzstd((FOLDER / name).read_bytes()))
        for name in ("tree.msgpack.zst", "tree-with-info.msgpack.zst")
    )
    assert with_info == {
        **plain,
        "info": {"base_url": "../files/", "channel_relations": {"base": "../conda-forge"}},
    }


def test_a_leaf_is_this_mapping() -> None:
    identity = {"etag": IDENTITY.etag, "modified": IDENTITY.modified, "size": IDENTITY.size}
    assert msgpack.unpackb(unzstd((FOLDER / "leaf.msgpack.zst").read_bytes())) == {
        "format": 1,
        "at": AT,
        "entries": {
            FILE: {
                "kind": "record",
                "identity": identity,
                "extractor": 1,
                "record": {**RECORD, "indexed_timestamp": AT},
                **BESIDE,
            },
            "alpha-2-0.conda": {
                "kind": "reject",
                "identity": identity,
                "extractor": 1,
                "code": "zip-invalid",
                "sentence": "It is no zip.",
                "at": AT,
            },
            "alpha-3-0.conda": {
                "kind": "pin",
                "identity": None,
                "extractor": 0,
                "at": AT,
                "reason": "withdrawn",
            },
        },
    }


def test_the_progress_of_a_take_over_is_this_mapping() -> None:
    assert msgpack.unpackb(unzstd((FOLDER / "takeover.msgpack.zst").read_bytes())) == {
        "format": 1,
        "made_for": "f0" * 32,
        "not_after_ms": AT,
        "names": {
            "alpha": [
                b"\7" * 32,
                [b"\3" * 32, b"\4" * 32, b"\5" * 16, 1, 1, 0, AT - 1, AT, None, False, 0],
                2,
                True,
                True,
            ],
            "beta": [b"\6" * 32, None, 0, False, False],
        },
    }


def test_an_attempt_after_the_first_is_one_more_key_of_a_progress() -> None:
    assert msgpack.unpackb(unzstd((FOLDER / "takeover-again.msgpack.zst").read_bytes())) == {
        "format": 1,
        "made_for": "f0" * 32,
        "not_after_ms": AT,
        "names": {"beta": [b"\6" * 32, None, 0, False, False]},
        "attempt": 2,
    }
