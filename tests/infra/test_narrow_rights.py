"""With ``ChannelPrefixes`` a role reaches all that it needs, and nothing of other channels."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import pytest

from sluice.conda.names import NOARCH, PACKAGE_SUFFIXES
from sluice.layout import (
    CHANNELDATA,
    NOTICES,
    PAGE,
    PAGE_DATA,
    RSS,
    PackageKey,
    Subdir,
    channel_file_key,
    config_key,
)
from sluice.publish.outputs import ALL_OUTPUTS
from tests.support.cloudformation import Deployment

ROLES = ("ExtractRole", "MergeRole", "ReconcileRole")
ACTIONS = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")
BUCKET = "arn:aws:s3:::my-bucket/"
STATE = "arn:aws:s3:::my-state/"
PREFIXES_MAX = 12
POLICY_CHARS_MAX = 10_240
"""IAM's limit for all inline policies of a role, without white space."""


class Rights:
    """What the policies of a role allow, as IAM evaluates them: what is denied is denied."""

    def __init__(self, role: str, prefixes: str, **parameters: str) -> None:
        names = {"ExistingChannelBucketName": "my-bucket", "ExistingStateBucketName": "my-state"}
        stack = Deployment(**{**names, **parameters}, ChannelPrefixes=prefixes)
        self.policies = [one["PolicyDocument"] for one in stack.properties(role)["Policies"]]
        self._statements = [
            (one["Effect"], _listed(one["Action"]), "Resource" in one, _patterns(one))
            for policy in self.policies
            for one in policy["Statement"]
        ]

    def may(self, action: str, arn: str) -> bool:
        allowed = False
        for effect, actions, names_what_it_is_for, patterns in self._statements:
            if action in actions and (
                any(fnmatchcase(arn, pattern) for pattern in patterns) == names_what_it_is_for
            ):
                if effect == "Deny":
                    return False
                allowed = True
        return allowed


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _patterns(statement: dict[str, Any]) -> list[str]:
    named = _listed(statement.get("Resource") or statement["NotResource"])
    return [one.replace("[", "[[]") for one in named if isinstance(one, str)]


@cache
def rights(role: str, prefixes: str, within: str) -> Rights:
    return Rights(role, prefixes, RightsWithin=within)


def may(prefixes: str, role: str, action: str, arn: str, within: str = "folders") -> bool:
    return rights(role, prefixes, within).may(action, arn)


def keys_of(subdir: Subdir) -> list[str]:
    """All that functions touch because of one subdir, which is more than its own folder."""
    own = [subdir, Subdir(subdir.channel, NOARCH)]
    keys = [one.file_key(name) for one in own for name in ALL_OUTPUTS]
    keys += [one.shard_key("ab" * 32) for one in own]
    keys += [PackageKey(one, f"a-1-0{suffix}").key for one in own for suffix in PACKAGE_SUFFIXES]
    keys += [
        channel_file_key(subdir.channel, name)
        for name in (CHANNELDATA, RSS, NOTICES, PAGE, PAGE_DATA)
    ]
    return [*keys, config_key(subdir.channel)]


def granted(
    prefixes: str, role: str, keys: list[str], within: str = "folders"
) -> set[tuple[str, str]]:
    return {
        (action, key)
        for action in ACTIONS
        for key in keys
        if may(prefixes, role, action, BUCKET + key, within)
    }


CHANNELS = ("", "team", "team/sub", "teams", "conda-forge", "Conda/Default", "x/noarch", "linux-64")
SUBDIRS = [
    Subdir(channel, name) for channel in CHANNELS for name in (NOARCH, "linux-64", "osx-arm64")
]
MANY = ",".join(f"c{number}/" for number in range(PREFIXES_MAX - 1)) + ",team/"
HOLDING_CHANNELS = [
    "team/",
    "team/,Conda/Default/",
    "conda-forge/",
    "conda-forge/,team/",
    "x/",
    MANY,
]
WITHIN_CHANNELS = [
    "team/linux-64/",
    "team/linux-",
    "team/noarch/",
    "team/noar",
    "te",
    "te,Conda/Default/",
    "team/sub/linux-64/,x/",
    "x/noarch/noarch/",
]
AT_THE_ROOT = ["linux-64/", "noarch/", "noarch/,linux-64/", "lin", "linux-64/,team/"]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("within", "prefixes"),
    [
        *(("prefixes", one) for one in HOLDING_CHANNELS),
        *(("folders", one) for one in HOLDING_CHANNELS + WITHIN_CHANNELS),
        *(("bucket", one) for one in HOLDING_CHANNELS + WITHIN_CHANNELS + AT_THE_ROOT),
    ],
)
def test_a_role_keeps_every_right_that_the_channels_below_the_prefixes_need(
    within: str, prefixes: str, role: str
) -> None:
    needed = [
        key
        for subdir in SUBDIRS
        if subdir.prefix.startswith(tuple(prefixes.split(",")))
        for key in keys_of(subdir)
    ]
    assert needed
    assert granted(prefixes, role, needed, within) == granted("", role, needed)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("within", "prefixes", "elsewhere"),
    [
        ("prefixes", "team/", ["", "teams", "conda-forge", "Conda/Default", "Conda"]),
        ("prefixes", "team/,Conda/Default/", ["", "teams", "Conda", "Conda/Defaults"]),
        ("prefixes", MANY, ["", "teams", "c99", "Conda/Default"]),
        ("folders", "team/", ["", "teams", "conda-forge", "Conda/Default", "Conda"]),
        ("folders", "team/,Conda/Default/", ["", "teams", "conda-forge"]),
        ("folders", "conda-forge/", ["", "team", "teams", "Conda/Default", "conda-forge-2"]),
        ("folders", "team/linux-64/", ["", "teams", "conda-forge", "Conda/Default"]),
        ("folders", "te", ["", "conda-forge", "Conda/Default"]),
        ("folders", MANY, ["", "teams", "c99", "Conda/Default"]),
    ],
)
def test_a_role_reaches_nothing_of_other_channels(
    within: str, prefixes: str, elsewhere: list[str], role: str
) -> None:
    keys = [
        key
        for channel in elsewhere
        for name in (NOARCH, "linux-64")
        for key in keys_of(Subdir(channel, name))
    ]
    keys += ["www/index.html", "blog/rss.xml", "docs/a/index.html", "x-index.html"]
    assert granted("", role, keys)
    assert granted(prefixes, role, keys, within) == set()


def test_the_website_of_somebody_else_is_out_of_merges_reach() -> None:
    """What is deleted where a configuration does not ask for it any more."""
    for key in ("index.html", "www/index.html", "rss.xml", "blog/rss.xml", "www/page.json.gz"):
        assert may("", "MergeRole", "s3:DeleteObject", BUCKET + key)
        assert not may("team/", "MergeRole", "s3:DeleteObject", BUCKET + key)
    assert may("team/", "MergeRole", "s3:DeleteObject", f"{BUCKET}team/index.html")


@pytest.mark.parametrize("role", ROLES)
def test_the_state_is_whole_whatever_the_prefixes(role: str) -> None:
    subdir = Subdir("team", "linux-64")
    keys = [subdir.head_key, subdir.staging_key("a-1-0.conda", "1"), subdir.leaf_key("ab" * 32)]
    for key in keys:
        for action in ACTIONS:
            assert may("team/", role, action, STATE + key) == may("", role, action, STATE + key)


def test_without_prefixes_nothing_is_denied() -> None:
    for role in ROLES:
        for within in ("prefixes", "folders", "bucket"):
            everything = Rights(role, "", RightsWithin=within)
            effects = {
                one["Effect"] for policy in everything.policies for one in policy["Statement"]
            }
            assert effects == {"Allow"}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("prefix", ["channel-{}/", "channel/{}/linux-64/"])
def test_the_longest_policy_is_one_that_iam_takes(role: str, prefix: str) -> None:
    prefixes = ",".join(prefix.format(f"{number:020}") for number in range(PREFIXES_MAX))
    name = "b" * 63
    longest = Rights(
        role,
        prefixes,
        ExistingChannelBucketName=name,
        ExistingStateBucketName=name.replace("b", "s"),
    )
    size = len("".join(json.dumps(longest.policies).split()))
    assert size < POLICY_CHARS_MAX, size
