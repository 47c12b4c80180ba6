"""What is chosen for ``current_repodata.json``: what conda-index chooses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from sluice.limits import CURRENT_REPODATA_CHECKS_MAX
from sluice.publish.current_repodata import select_current
from sluice.publish.repodata import RepodataContents


def contents(*filenames: str, **said: Mapping[str, Any]) -> RepodataContents:
    """An index of packages; what else a record says is given under its name."""
    made = RepodataContents()
    for filename in filenames:
        stem = filename.removesuffix(".conda").removesuffix(".tar.bz2")
        name, version, build = stem.rsplit("-", 2)
        record = {"name": name, "version": version, "build": build, "md5": f"of {filename}"}
        raw = msgspec.json.encode({**record, **said.get(name, {})}, order="sorted")
        made.records[filename] = msgspec.Raw(raw)
    return made


def chosen(*filenames: str, **said: Mapping[str, Any]) -> set[str]:
    return set(select_current(contents(*filenames, **said)).records)


def test_of_each_name_there_is_the_newest_version_in_all_its_builds() -> None:
    assert chosen("a-1.9-0.conda", "a-1.10-0.conda", "a-1.10-1.tar.bz2", "b-2-0.conda") == {
        "a-1.10-0.conda",
        "a-1.10-1.tar.bz2",
        "b-2-0.conda",
    }


def test_a_pre_release_counts_to_the_version_that_it_led_to() -> None:
    assert chosen("a-1.1-0.conda", "a-1.2RC1-0.conda", "a-1.2-0.conda") == {
        "a-1.2RC1-0.conda",
        "a-1.2-0.conda",
    }


def test_of_two_archives_of_one_package_the_conda_is_there_and_names_the_other() -> None:
    made = select_current(contents("a-1-0.tar.bz2", "a-1-0.conda", "b-1-0.conda"))
    assert {name: msgspec.json.decode(raw) for name, raw in made.records.items()} == {
        "a-1-0.conda": {
            "build": "0",
            "legacy_bz2_md5": "of a-1-0.tar.bz2",
            "md5": "of a-1-0.conda",
            "name": "a",
            "version": "1",
        },
        "b-1-0.conda": {"build": "0", "md5": "of b-1-0.conda", "name": "b", "version": "1"},
    }


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("b", {"b-3-0.conda"}),
        ("b >=1", {"b-3-0.conda"}),
        ("b <3", {"b-3-0.conda", "b-2-0.conda", "b-2-1.conda"}),
        ("b 2 1", {"b-3-0.conda", "b-2-0.conda", "b-2-1.conda"}),
        ("B 1.*", {"b-3-0.conda", "b-1-0.conda"}),
        ("b >=4", {"b-3-0.conda"}),
        ("b ~~ what", {"b-3-0.conda"}),
        ("__glibc >=2", {"b-3-0.conda"}),
    ],
)
def test_what_the_newest_depend_on_is_there_too(spec: str, expected: set[str]) -> None:
    files = ("a-1-0.conda", "b-3-0.conda", "b-2-0.conda", "b-2-1.conda", "b-1-0.conda")
    assert chosen(*files, a={"depends": [spec]}) == {"a-1-0.conda", *expected}


@pytest.mark.parametrize(
    "spec",
    [
        "lib[version='<1']",
        'lib[version="<1"]',
        "lib[version=<1]",
        "lib [ version = '<1' ]",
        "lib >=2[version='<1']",
        "lib 2.0 h0_0[version='<1',build=h0_0]",
        "lib[build=h0_0, version='<1']",
        "lib[build=h0_0 version='<1']",
        "lib[version='(<0.4|0.4.1),<3']",
        "lib[version='0.4.*']",
        "conda-forge::lib <1",
        "conda-forge/linux-64::lib[version='<1']",
        "*/linux-64::lib<1",
        "https://example.com:8080/team::lib <1",
        "conda-forge:space:lib <1",
        "space:lib <1",
        "lib 0.4.1=h0_0",
        "lib=0.4.1=h0_0",
        "lib==0.4.1=h0_0",
        "lib=0.4.1 h0_0",
        "lib =0.4.1 h0_0",
        "lib =0.4 h0_0",
        "lib <1=h0_0",
        "lib (<1)",
        "lib ( < 1 ) | (>5)",
        "lib (<1) h0_0",
        "lib <1 (optional=True)",
        "lib <1 # what older ones need",
        "lib[version='<1'] # [linux]",
        "lib 0.*.1",
        "lib * H0_0[version='<1']",
        "lib[build_number='>=7']",
        "lib[build_number=7]",
        "lib[md5=0123]",
        "lib[fn=lib-0.4.1-h0_0.conda]",
        "lib[url='https://example.com/c/linux-64/lib-0.4.1-h0_0.conda']",
        "lib[license=mit*]",
        "lib[track_features='b a']",
        "lib[name=app,version='<1']",
    ],
)
def test_a_dependency_is_read_in_every_way_in_which_clients_read_it(spec: str) -> None:
    """conda would take app 1.0 else, without an error, although the channel has what 2.0 needs."""
    made = contents("app-1.0-0.conda", "lib-0.3-0.conda", "lib-2.0-h0_0.conda")
    app = {"name": "app", "version": "2.0", "build": "0", "depends": [spec]}
    needed = {"name": "lib", "version": "0.4.1", "build": "h0_0", "build_number": 7}
    needed |= {"md5": "0123", "license": "MIT", "track_features": "a b", "subdir": "linux-64"}
    made.records["app-2.0-0.conda"] = msgspec.Raw(msgspec.json.encode(app))
    made.records["lib-0.4.1-h0_0.conda"] = msgspec.Raw(msgspec.json.encode(needed))
    assert set(select_current(made).records) == {
        "app-2.0-0.conda",
        "lib-0.4.1-h0_0.conda",
        "lib-2.0-h0_0.conda",
    }


@pytest.mark.parametrize(
    "spec",
    [
        "lib[version='<1',subdir=win-64]",
        "*/win-64::lib <1",
        "lib[version='>=2']",
        "lib <1[version='>=2']",
        "lib[version='~~1']",
        "lib[version='<1'",
        "lib <1,",
        "lib (<1",
        "lib 0.4.1 h0_0 h0_1",
        "lib[fn=lib-0.4.1-h0_0.tar.bz2]",
        "lib <1 h0-0",
    ],
)
def test_what_no_package_of_the_subdir_satisfies_adds_none(spec: str) -> None:
    made = contents("lib-0.4.1-h0_0.conda", "lib-2.0-h0_0.conda", lib={"subdir": "linux-64"})
    app = {"name": "app", "version": "2.0", "build": "0", "depends": [spec]}
    made.records["app-2.0-0.conda"] = msgspec.Raw(msgspec.json.encode(app))
    assert set(select_current(made).records) == {"app-2.0-0.conda", "lib-2.0-h0_0.conda"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("b ^1.*$", {"b-2-h_0.conda", "b-1.5-g_0.conda", "b-1-h_0.conda"}),
        ("b[version='^1.*$',build='h*']", {"b-2-h_0.conda", "b-1-h_0.conda"}),
        ("b[version='<2',flavour=x]", {"b-1.5-g_0.conda", "b-1-h_0.conda"}),
        ("b[version='<2',build='^g.*$']", {"b-1.5-g_0.conda", "b-1-h_0.conda"}),
        ("b[version='<2' and more]", {"b-1.5-g_0.conda", "b-1-h_0.conda"}),
        ("b <2 G_0", {"b-1.5-g_0.conda"}),
    ],
)
def test_where_a_spec_cannot_be_evaluated_all_that_may_satisfy_it_is_there(
    spec: str, expected: set[str]
) -> None:
    files = ("b-3-h_0.conda", "b-2-h_0.conda", "b-1.5-g_0.conda", "b-1-h_0.conda")
    chosen_ones = chosen("a-1-0.conda", *files, a={"depends": [spec]})
    assert chosen_ones == {"a-1-0.conda", "b-3-h_0.conda", *expected}


def test_where_conda_and_the_cep_disagree_the_stricter_reading_comes_first() -> None:
    """conda and rattler take ``=1 h`` for ``==1 h``, the CEP for ``1.* h``."""
    depends = {"depends": ["b =1 h"]}
    both = chosen("a-1-0.conda", "b-3-h.conda", "b-1.5-h.conda", "b-1-h.conda", a=depends)
    assert both == {"a-1-0.conda", "b-3-h.conda", "b-1-h.conda", "b-1.5-h.conda"}
    other = chosen("a-1-0.conda", "b-3-h.conda", "b-1.5-h.conda", "b-1.2-h.conda", a=depends)
    assert other == {"a-1-0.conda", "b-3-h.conda", "b-1.5-h.conda"}


def test_a_dependency_that_takes_too_long_to_tell_is_left_out_and_no_other() -> None:
    olds = [f"b-{number}-0.conda" for number in range(1, 12)]
    depends = ["b 7", "c 1", "b " + "|".join(["5"] * (CURRENT_REPODATA_CHECKS_MAX // 20))]
    made = chosen("a-1-0.conda", *olds, "c-1-0.conda", "c-2-0.conda", a={"depends": depends})
    assert made == {"a-1-0.conda", "b-11-0.conda", "b-7-0.conda", "c-1-0.conda", "c-2-0.conda"}


def test_what_another_tool_wrote_and_nobody_can_read_hides_no_other_archive() -> None:
    made = contents("a-1-0.tar.bz2")
    made.records["a-1-0.conda"] = msgspec.Raw(b'{"name": "a", "version": "1", "depends": null}')
    assert set(select_current(made).records) == {"a-1-0.tar.bz2"}


def test_what_older_packages_depend_on_is_not_there() -> None:
    made = contents("a-2-0.conda", "b-2-0.conda", "b-1-0.conda")
    older = {"name": "a", "version": "1", "build": "0", "depends": ["b 1"]}
    made.records["a-1-0.conda"] = msgspec.Raw(msgspec.json.encode(older))
    assert set(select_current(made).records) == {"a-2-0.conda", "b-2-0.conda"}


@pytest.mark.parametrize("key", ["features", "track_features"])
def test_where_the_newest_has_features_the_newest_without_is_there_too(key: str) -> None:
    made = contents("a-1-0.conda", "a-2-0.conda", "a-3-0.conda")
    with_features = {"name": "a", "version": "3", "build": "0", key: "mkl"}
    made.records["a-3-0.conda"] = msgspec.Raw(msgspec.json.encode(with_features))
    assert set(select_current(made).records) == {"a-2-0.conda", "a-3-0.conda"}


def test_what_another_tool_wrote_and_nobody_can_order_is_left_out() -> None:
    made = contents("a-1-0.conda", "b-1..2-0.conda")
    made.records["c-1-0.conda"] = msgspec.Raw(b'{"name": "c", "version": 1}')
    assert set(select_current(made).records) == {"a-1-0.conda"}


def test_records_of_revision_3_and_what_was_removed_are_there_as_they_are() -> None:
    made = contents("a-1-0.conda", "a-2-0.conda")
    made.v3 = {"conda": {"c-1-0": msgspec.Raw(b"{}")}}
    made.removed = {"d-1-0.conda"}
    now = select_current(made)
    assert (now.v3, now.removed) == (made.v3, made.removed)
    assert set(made.records) == {"a-1-0.conda", "a-2-0.conda"}
