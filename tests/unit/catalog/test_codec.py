"""The bytes of what is stored."""

from __future__ import annotations

import msgpack
import msgspec
import pytest

from sluice import zstd
from sluice.catalog import codec
from sluice.errors import Corrupt, TooLarge, TooNew


class Thing(msgspec.Struct, kw_only=True):
    """Something to store."""

    names: dict[str, bytes]
    format: int = 1


def packed(content: object) -> bytes:
    """Pack without looking."""
    return zstd.compress(msgpack.packb(content))


def test_a_digest_is_the_sha256_in_hex() -> None:
    assert codec.content_digest(b"abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_content_comes_back() -> None:
    thing = Thing(names={"b": b"\xff", "a": b""})
    assert (
        codec.unpack_struct(codec.pack_struct(thing, what="thing"), Thing, newest=1, what="thing")
        == thing
    )


def test_the_order_of_insertion_does_not_show() -> None:
    one, other = Thing(names={"a": b"1", "b": b"2"}), Thing(names={"b": b"2", "a": b"1"})
    assert codec.pack_struct(one, what="thing") == codec.pack_struct(other, what="thing")


def test_unknown_keys_of_the_same_format_are_ignored() -> None:
    body = packed({"names": {}, "format": 1, "more": 1})
    assert codec.unpack_struct(body, Thing, newest=1, what="thing") == Thing(names={})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        codec.pack_struct(Thing(names={"a": b"x" * 99}), what="thing")[:-3],
        zstd.compress(b""),
        zstd.compress(b"\xc1"),
        zstd.compress(b"\x91" * 5000),
        packed([]),
        packed({"names": {}}),
        packed({"names": {}, "format": "1"}),
        packed({"names": [], "format": 1}),
        packed({"names": {"a": 7}, "format": 1}),
        packed({1: 2, "format": 1}),
        packed({"format": 1}),
        packed({"format": 1, "names": {"a": msgpack.ExtType(4, b"x")}}),
        zstd.compress(b"\x82\xa6format\x01\xa5names\x81\xa1\xff\xa1x"),
        packed({"names": {}, "format": 1}) + b"more",
    ],
)
def test_what_cannot_be_read_is_corrupt_and_not_too_new(body: bytes) -> None:
    with pytest.raises(Corrupt) as raised:
        codec.unpack_struct(body, Thing, newest=1, what="thing")
    assert type(raised.value) is Corrupt


def test_what_a_newer_sluice_stored_is_refused_whatever_else_it_holds() -> None:
    with pytest.raises(TooNew, match=r"thing has format 2, but this version .* up to 1"):
        codec.unpack_struct(packed({"format": 2}), Thing, newest=1, what="thing")
    with pytest.raises(TooNew, match=r"thing has format 2, but this version .* up to 1"):
        codec.unpack_json(b'{"format":2}', Thing, newest=1, what="thing")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"format":1}', b'{"format":1,"names":"\xff"}', b"[" * 100_000],
)
def test_json_that_cannot_be_read_is_corrupt(body: bytes) -> None:
    with pytest.raises(Corrupt) as raised:
        codec.unpack_json(body, Thing, newest=1, what="thing")
    assert type(raised.value) is Corrupt


def test_each_kind_of_object_has_formats_of_its_own() -> None:
    body = codec.pack_struct(Thing(names={}, format=2), what="thing")
    assert codec.unpack_struct(body, Thing, newest=2, what="thing") == Thing(names={}, format=2)
    with pytest.raises(TooNew, match=r"thing has format 2, but this version .* up to 1"):
        codec.unpack_struct(body, Thing, newest=1, what="thing")


def test_nothing_is_written_that_is_larger_than_what_is_read() -> None:
    thing = Thing(names={"a": bytes(100)})
    codec.pack_struct(thing, what="thing", bytes_max=200)
    with pytest.raises(TooLarge, match=r"thing would have \d+ bytes; the limit is 100"):
        codec.pack_struct(thing, what="thing", bytes_max=100)
