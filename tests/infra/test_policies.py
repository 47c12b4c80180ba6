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
    assert {statement["Effect"] for statement in wanted} == {"Allow"}
    statements: list[dict[str, Any]] = wanted
    return statements


def publisher_may_put(key: str) -> bool:
    (statement,) = policy("s3:PutObject")
    assert statement["Action"] == "s3:PutObject"
    arns: list[str] = statement["Resource"]
    return any(fnmatchcase(f"arn:aws:s3:::my-bucket/{key}", arn) for arn in arns)


@pytest.mark.parametrize("filename", ["a-1-0.conda", "a-1-0.tar.bz2"])
def test_a_publisher_may_put_packages_into_the_channel_and_into_no_other(filename: str) -> None:
    assert publisher_may_put(TEAM.file_key(filename))
    assert not publisher_may_put(Subdir("teams", "linux-64").file_key(filename))
    assert not publisher_may_put(Subdir("", "linux-64").file_key(filename))


def test_a_publisher_may_neither_configure_the_channel_nor_touch_its_index() -> None:
    written = [config_key("team"), TEAM.shard_key("ab" * 32), *map(TEAM.file_key, ALL_OUTPUTS)]
    assert [key for key in written if publisher_may_put(key)] == []
