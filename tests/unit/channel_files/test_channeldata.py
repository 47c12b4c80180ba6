"""What the packages of a channel make of ``channeldata.json`` (CEP 38)."""

from __future__ import annotations

import json
from typing import Any

from sluice.catalog.client_view import NO_RULES, RenderRules
from sluice.catalog.entry import Entries, Pin, Reject
from sluice.channel_config import ChannelConfig
from sluice.channel_files import channeldata
from sluice.channel_files.contribution import FIELDS, FLAGS, make_contribution
from sluice.conda.patch import parse_patch_instructions
from sluice.package.info_files import parse_channeldata_fields
from tests.support.staging_records import A2, A
from tests.unit.channel_files.channel_system import entry

NO_FLAGS = dict.fromkeys(FLAGS, False)
NEWER, OLDER = "alpha-2.0-0.conda", "alpha-1.0-0.conda"
MS = 1_700_000_000_000


def package(rules: RenderRules = NO_RULES, **subdirs: Entries) -> dict[str, Any]:
    """The one package that these subdirs have; ``_`` stands for a dash."""
    found = {
        name.replace("_", "-"): told
        for name, entries in subdirs.items()
        if (told := make_contribution(entries, rules))
    }
    return channeldata.channeldata_packages({"alpha": found})["alpha"]


def test_every_required_field_is_there_even_where_a_package_says_nothing() -> None:
    assert package(noarch={A: entry(A)}) == {
        **NO_FLAGS,
        "run_exports": {},
        "subdirs": ["noarch"],
        "timestamp": 0,
        "version": "1.0",
    }


def test_the_newest_version_speaks_and_an_older_one_where_it_is_silent() -> None:
    found = package(
        linux_64={
            OLDER: entry(OLDER, about={"summary": "old", "home": "https://old"}, license="MIT"),
            NEWER: entry(NEWER, about={"summary": "new"}),
        }
    )
    told = {name: found[name] for name in ("version", "summary", "home", "license")}
    assert told == {"version": "2.0", "summary": "new", "home": "https://old", "license": "MIT"}


def test_versions_are_compared_as_versions_across_subdirs() -> None:
    ten, nine = "alpha-10.0-0.conda", "alpha-9.0-0.conda"
    found = package(
        linux_64={nine: entry(nine, about={"summary": "nine"})},
        win_64={ten: entry(ten, about={"summary": "ten"})},
    )
    assert (found["version"], found["summary"]) == ("10.0", "ten")
    assert found["subdirs"] == ["linux-64", "win-64"]


def test_of_builds_of_one_version_the_one_with_the_newest_timestamp_speaks() -> None:
    late, early = "alpha-1.0-0.conda", "alpha-1.0-1.conda"
    found = package(
        linux_64={
            late: entry(late, about={"summary": "late"}, timestamp=MS + 5000),
            early: entry(early, about={"summary": "early"}, timestamp=MS),
        }
    )
    assert (found["summary"], found["timestamp"]) == ("late", MS // 1000 + 5)


def test_the_conda_of_a_package_in_both_formats_speaks() -> None:
    conda, tar = "alpha-1.0-0.conda", "alpha-1.0-0.tar.bz2"
    found = package(
        noarch={
            tar: entry(tar, about={"summary": "tar"}),
            conda: entry(conda, about={"summary": "conda"}),
        }
    )
    assert found["summary"] == "conda"


def test_a_flag_is_true_if_it_is_of_any_version_in_any_subdir() -> None:
    found = package(
        linux_64={OLDER: entry(OLDER, about={"post_link": True, "text_prefix": False})},
        win_64={NEWER: entry(NEWER, about={"binary_prefix": True})},
    )
    flags = {flag: found[flag] for flag in FLAGS}
    assert flags == NO_FLAGS | {"post_link": True, "binary_prefix": True}


def test_run_exports_are_told_by_version() -> None:
    found = package(
        linux_64={
            OLDER: entry(OLDER, run_exports={"weak": ["alpha 1.*"]}),
            NEWER: entry(NEWER, run_exports={"strong": ["alpha 2.*"]}),
        }
    )
    assert found["run_exports"] == {
        "1.0": {"weak": ["alpha 1.*"]},
        "2.0": {"strong": ["alpha 2.*"]},
    }


def test_a_timestamp_in_seconds_and_one_in_milliseconds_are_told_alike() -> None:
    found = package(
        linux_64={OLDER: entry(OLDER, timestamp=MS // 1000)},
        win_64={NEWER: entry(NEWER, timestamp=MS - 1000)},
    )
    assert found["timestamp"] == MS // 1000


def test_what_clients_do_not_see_is_not_told() -> None:
    reject = Reject(identity=None, extractor=1, code="bad", sentence="Bad.", at=1)
    pin = Pin(identity=None, extractor=1, at=1, reason="no")
    assert make_contribution({A: reject, A2: pin}, NO_RULES) is None


def test_what_a_patch_removes_is_not_told_and_what_it_changes_is() -> None:
    body = b"""{"patch_instructions_version": 1, "remove": ["alpha-2.0-0.conda"],
               "packages.conda": {"alpha-1.0-0.conda": {"license": "Apache-2.0"}}}"""
    rules = RenderRules(ChannelConfig(), parse_patch_instructions(body, source="patch"))
    found = package(rules, linux_64={OLDER: entry(OLDER, license="MIT"), NEWER: entry(NEWER)})
    assert (found["version"], found["license"]) == ("1.0", "Apache-2.0")


def test_every_field_can_be_set_by_a_package() -> None:
    stated = {name: f"the {name}" for name in FIELDS}
    about = parse_channeldata_fields(json.dumps(stated).encode(), None)
    assert {*about, "icon_hash"} == set(FIELDS)
