"""Packs: leaves one after the other, each of which can be cut out again."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from sluice.catalog.pack import LeafPlace, join_leaves


@given(st.lists(st.binary(max_size=64), min_size=1))
def test_each_leaf_is_cut_out_as_it_was(bodies: list[bytes]) -> None:
    pack_body, places = join_leaves(bodies)
    assert [place.cut(pack_body) for place in places] == bodies
    assert {place.pack for place in places} == {sha256(pack_body).digest()}
    assert pack_body == b"".join(bodies)


@given(st.lists(st.binary(max_size=64), min_size=1), st.data())
def test_each_leaf_is_cut_out_of_a_part_of_the_pack(
    bodies: list[bytes], data: st.DataObject
) -> None:
    pack_body, places = join_leaves(bodies)
    first = data.draw(st.integers(0, len(bodies) - 1))
    last = data.draw(st.integers(first, len(bodies) - 1))
    part = pack_body[places[first].offset : places[last].end]
    cut = [place.cut(part, start=places[first].offset) for place in places[first : last + 1]]
    assert cut == bodies[first : last + 1]


def test_of_a_pack_that_is_too_short_less_is_cut_out() -> None:
    assert LeafPlace(b"p", 2, 3).cut(b"abc") == b"c"
    assert LeafPlace(b"p", 4, 3).cut(b"abc") == b""
