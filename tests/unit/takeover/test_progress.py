"""When what an earlier step has written for a name is still right: never too often, seldom not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from msgspec import structs

from sluice import zstd
from sluice.catalog.tree import ActiveConfig, ActivePatch, Inputs, Node
from sluice.channel_config import DEFAULT_CONFIG, config_to_dict
from sluice.errors import TooNew
from sluice.takeover.existing_index import ExistingIndex
from sluice.takeover.foreign_formats import BucketRecord
from sluice.takeover.progress import (
    FORMAT,
    TakeOverProgress,
    decode_progress,
    encode_progress,
    name_digest,
    purpose_digest,
)
from tests.support.staging_records import A, B, identity_of

A3 = "alpha-3.0-0.conda"
RAW = msgspec.Raw(b'{"name":"alpha"}')
INDEX = ExistingIndex(
    names={"alpha": {A: RAW, A3: None}, "beta": {B: RAW}},
    listing={A: identity_of(b"a"), B: identity_of(b"b")},
)
NODE = Node(
    leaf=b"\1" * 32,
    shard=None,
    listing=b"\2" * 16,
    records=1,
    rejects=0,
    extractor=0,
    oldest=None,
    newest=None,
)


def with_files(**files: msgspec.Raw | BucketRecord | None) -> ExistingIndex:
    """The index with other records of ``alpha``."""
    named = {f"{name}.conda": record for name, record in files.items()}
    return replace(INDEX, names={**INDEX.names, "alpha": {A: RAW, A3: None, **named}})


CHANGES: dict[str, ExistingIndex] = {
    "another record": replace(INDEX, names={"alpha": {A: msgspec.Raw(b"{}"), A3: None}}),
    "a file more": with_files(more=RAW),
    "a file less": replace(INDEX, names={"alpha": {A: RAW}}),
    "no file at all": replace(INDEX, names={}),
    "removed, no longer a record": replace(INDEX, names={"alpha": {A: None, A3: None}}),
    "a record that is null, no longer removed": replace(
        INDEX, names={"alpha": {A: RAW, A3: msgspec.Raw(b"null")}}
    ),
    "in another bucket": with_files(wheel=BucketRecord("whl", RAW)),
    "in yet another bucket": with_files(wheel=BucketRecord("zip", RAW)),
    "not in a bucket": with_files(wheel=RAW),
    "in revision 3": replace(INDEX, v3=frozenset({A})),
    "overwritten": replace(INDEX, listing={**INDEX.listing, A: identity_of(b"c")}),
    "uploaded again": replace(
        INDEX, listing={**INDEX.listing, A: structs.replace(identity_of(b"a"), modified=1)}
    ),
    "of another size": replace(
        INDEX, listing={**INDEX.listing, A: structs.replace(identity_of(b"a"), size=9)}
    ),
    "not listed": replace(INDEX, listing={B: identity_of(b"b")}),
    "a removed file that lies there": replace(
        INDEX, listing={**INDEX.listing, A3: identity_of(b"a3")}
    ),
    "run exports": replace(INDEX, run_exports={A: {"weak": ["alpha"]}}),
    "other run exports": replace(INDEX, run_exports={A: {"strong": ["alpha"]}}),
    "unpatched": replace(INDEX, unpatched={A: msgspec.Raw(b'{"depends":[]}')}),
    "unpatched, of a removed file": replace(INDEX, unpatched={A3: msgspec.Raw(b"{}")}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_the_entries_of_a_name_are_made_of_counts(change: str) -> None:
    digests = {index.digest("alpha") for name, index in CHANGES.items() if name != change}
    assert CHANGES[change].digest("alpha") not in {*digests, INDEX.digest("alpha")}


@pytest.mark.parametrize(
    "same",
    [
        replace(INDEX, names={"beta": {}, "alpha": {A3: None, A: RAW}}),
        replace(INDEX, names={"alpha": {A: RAW, A3: None}}, listing={A: identity_of(b"a")}),
        replace(INDEX, generation=7, info={"x": 1}, shard_index=b"x"),
        replace(INDEX, v3=frozenset({B}), run_exports={B: {}}, unpatched={B: RAW}),
    ],
)
def test_what_other_names_are_made_of_and_the_order_of_things_do_not_count(
    same: ExistingIndex,
) -> None:
    assert same.digest("alpha") == INDEX.digest("alpha")


def test_so_do_what_the_parent_knows_of_the_name_and_whether_it_is_written_anyway() -> None:
    digests = [
        name_digest(index_digest, before, rerender=rerender)
        for index_digest in (INDEX.digest("alpha"), INDEX.digest("beta"))
        for before in (None, NODE, structs.replace(NODE, leaf=b"\3" * 32))
        for rerender in (False, True)
    ]
    assert len(set(digests)) == len(digests)


def inputs(**more: object) -> Inputs:
    """The inputs of a generation."""
    config = ActiveConfig(
        seen=None, digest=None, settings=config_to_dict(DEFAULT_CONFIG), defaults=""
    )
    plain = Inputs(config=config, patch=None, problems=[], renderer=1)
    return structs.replace(plain, **more)


def patched(package: str, sha256: str, *, at: int) -> Inputs:
    """The same with a patch."""
    return inputs(patch=ActivePatch(package=package, sha256=sha256, instructions=None, at=at))


def test_all_names_are_written_anew_for_another_bucket_renderer_configuration_or_patch() -> None:
    other = structs.replace(
        inputs().config,
        settings=config_to_dict(structs.replace(DEFAULT_CONFIG, timestamps="reject")),
    )
    purposes = [
        purpose_digest("one", inputs()),
        purpose_digest("two", inputs()),
        purpose_digest("one", inputs(renderer=2)),
        purpose_digest("one", inputs(config=other)),
        purpose_digest("one", patched("patches-1-0.conda", "a", at=1)),
        purpose_digest("one", patched("patches-2-0.conda", "a", at=1)),
        purpose_digest("one", patched("patches-1-0.conda", "b", at=1)),
    ]
    assert len(set(purposes)) == len(purposes)


def test_the_time_at_which_a_step_looked_at_a_patch_does_not_count() -> None:
    first, second = (patched("patches-1-0.conda", "a", at=at) for at in (1, 2))
    assert purpose_digest("one", first) == purpose_digest("one", second)


PROGRESS = TakeOverProgress(made_for="x", not_after_ms=100, names={})


@pytest.mark.parametrize(
    ("purpose", "now_ms", "usable"), [("x", 99, True), ("x", 100, False), ("y", 99, False)]
)
def test_progress_is_for_one_purpose_and_for_a_time(
    purpose: str, now_ms: int, *, usable: bool
) -> None:
    assert PROGRESS.is_usable(purpose, now_ms=now_ms) == usable


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda body: body[: len(body) // 2],
        lambda _: zstd.compress(b"\xc1"),
        lambda _: zstd.compress(msgspec.msgpack.encode({"format": 1})),
        lambda _: zstd.compress(msgspec.msgpack.encode({"names": {}})),
        lambda _: zstd.compress(
            msgspec.msgpack.encode(
                {"format": 1, "made_for": "x", "not_after_ms": 1, "names": {"a": [1]}}
            )
        ),
    ],
)
def test_damaged_progress_is_none(damage: Callable[[bytes], bytes]) -> None:
    assert decode_progress(damage(encode_progress(PROGRESS)), what="x") is None


def test_progress_of_a_newer_sluice_is_refused_by_name() -> None:
    newer = zstd.compress(msgspec.msgpack.encode({"format": FORMAT + 1}))
    with pytest.raises(TooNew, match=f"takeovers/x has format {FORMAT + 1}"):
        decode_progress(newer, what="takeovers/x")
