from __future__ import annotations

import pytest

from sluice.admin.session.address import Address, ChannelSubdir
from sluice.errors import Misused


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("s3://b/team", Address("b", "team")),
        ("s3://b/Conda/Default/", Address("b", "Conda/Default")),
        ("s3://b", Address("b", "")),
        ("s3://b/", Address("b", "")),
    ],
)
def test_a_channel_is_named_by_bucket_and_path(text: str, address: Address) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize("text", ["b/team", "https://b/team", "s3://", "s3:///team", ""])
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Misused, match="s3://bucket/channel"):
        Address.parse(text)


@pytest.mark.parametrize("text", ["s3://b/a//b", "s3://b/../a"])
def test_what_can_be_no_channel_is_refused(text: str) -> None:
    with pytest.raises(Misused, match="cannot be the path of a channel"):
        Address.parse(text)


@pytest.mark.parametrize("text", ["s3://b/my team", "s3://b/my%20team", "s3://b/a%2525"])
def test_a_channel_with_a_space_or_a_percent_sign_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(Misused, match="contains a space or a %, which CEP 26 forbids"):
        Address.parse(text)


def test_an_address_is_decoded_once_and_keeps_its_plus() -> None:
    assert Address.parse("s3://b/caf%C3%A9/a+b%2Bc") == Address("b", "café/a+b+c")


def test_the_last_part_may_name_a_subdir() -> None:
    assert Address.parse("s3://b/team/linux-64").as_subdir() == ChannelSubdir("team", "linux-64")
    assert Address.parse("s3://b/noarch").find_subdir() == ChannelSubdir("", "noarch")
    assert Address.parse("s3://b/team").find_subdir() is None


def test_an_address_without_a_subdir_is_refused_where_one_is_needed() -> None:
    with pytest.raises(Misused, match="s3://b/team is not the address of a subdir"):
        Address.parse("s3://b/team").as_subdir()
