"""The policies that the README gives to people: what they allow, and what they must not."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import Any

import pytest

from sluice.layout import Subdir, config_key
from sluice.publish.outputs import ALL_OUTPUTS
from tests.support.template import ROOT

TEAM = Subdir("team", "linux-64")


def policy(action: str) -> list[dict[str, Any]]:
    """The statements of the one policy that allows an action."""
    readme = (ROOT / "README.md").read_text()
    found = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", readme, re.DOTALL)]
    (wanted,) = [one["Statement"] for one in found if "Statement" in one and action in str(one)]
    statements: list[dict[str, Any]] = wanted
    return statements


def publisher_may_put(key: str) -> bool:
    effects = set()
    for statement in policy("s3:PutObject"):
        assert statement["Action"] == "s3:PutObject"
        named = statement["Resource"]
        arns: list[str] = [named] if isinstance(named, str) else named
        if any(fnmatchcase(f"arn:aws:s3:::my-bucket/{key}", arn) for arn in arns):
            effects.add(statement["Effect"])
    return effects == {"Allow"}


@pytest.mark.parametrize("filename", ["a-1-0.conda", "a-1-0.tar.bz2"])
def test_a_publisher_may_put_packages_into_the_channel_and_into_no_other(filename: str) -> None:
    assert publisher_may_put(TEAM.file_key(filename))
    assert not publisher_may_put(Subdir("teams", "linux-64").file_key(filename))
    assert not publisher_may_put(Subdir("", "linux-64").file_key(filename))


@pytest.mark.parametrize(
    "channel", ["team/made-up", "team/linux-64", "team/noarch/1/2", "team/linux-64/noarch"]
)
@pytest.mark.parametrize("subdir", ["noarch", "linux-64", "made-up"])
def test_a_publisher_makes_up_neither_channels_nor_subdirs(channel: str, subdir: str) -> None:
    assert not publisher_may_put(Subdir(channel, subdir).file_key("a-1-0.conda"))
    assert not publisher_may_put(Subdir("team", "made-up").file_key("a-1-0.conda"))


def test_the_how_to_gives_the_policy_of_the_readme() -> None:
    page = (ROOT / "docs" / "how-to" / "github-actions.md").read_text()
    found = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    assert [one["Statement"] for one in found if "s3:PutObject" in str(one)] == [
        policy("s3:PutObject")
    ]


def test_a_publisher_may_neither_configure_the_channel_nor_touch_its_index() -> None:
    written = [config_key("team"), TEAM.shard_key("ab" * 32), *map(TEAM.file_key, ALL_OUTPUTS)]
    assert [key for key in written if publisher_may_put(key)] == []
