"""Where everything lies: the key grammar as literal examples."""

from __future__ import annotations

import pytest

from sluice.conda.names import (
    FilenameParts,
    is_package_name,
    is_subdir,
    package_name,
    parse_filename,
    split_by_archive,
    split_extension,
)
from sluice.layout import (
    REPODATA,
    REPODATA_ZST,
    SHARD_INDEX,
    SLUICE_TOML,
    ContentAddressedFolder,
    PackageKey,
    Subdir,
    config_key,
    parse_channel_component,
    parse_config_key,
    parse_package_key,
    parse_shard_key,
    parse_state_key,
    reconcile_part_key,
    reconcile_report_key,
    state_prefix,
)
from sluice.limits import CHANNEL_COMPONENT_CHARS_MAX, CHANNEL_DEPTH_MAX, FILENAME_CHARS_MAX

DEEP = Subdir("Conda/Default", "linux-64")
ROOT = Subdir("", "noarch")
DIGEST = "ab" * 32
S3_KEY_BYTES_MAX = 1024


def test_public_keys_follow_the_ceps_and_private_ones_start_with_kind_and_channel() -> None:
    assert {
        "package": DEEP.file_key("a-1-0.conda"),
        "shard": DEEP.shard_key(DIGEST),
        "head": DEEP.head_key,
        "commit": DEEP.commit_key(DIGEST),
        "tree": DEEP.tree_key(DIGEST),
        "leaf": DEEP.leaf_key(DIGEST),
        "pack": DEEP.pack_key(DIGEST),
        "staged": DEEP.staging_key("a-1!2+cpu-0.conda", "7"),
        "rejects": DEEP.rejects_key,
    } == {
        "package": "Conda/Default/linux-64/a-1-0.conda",
        "shard": f"Conda/Default/linux-64/shards/{DIGEST}.msgpack.zst",
        "head": "heads/Conda%2FDefault/linux-64.json",
        "commit": f"commits/Conda%2FDefault/linux-64/{DIGEST}.json",
        "tree": f"trees/Conda%2FDefault/linux-64/{DIGEST}.msgpack.zst",
        "leaf": f"leaves/Conda%2FDefault/linux-64/{DIGEST}.msgpack.zst",
        "pack": f"packs/Conda%2FDefault/linux-64/{DIGEST}",
        "staged": "staging/Conda%2FDefault/linux-64/a-1!2+cpu-0.conda/7.json",
        "rejects": "rejects/Conda%2FDefault/linux-64.json",
    }


def test_the_channel_at_the_root_of_the_bucket_has_no_leading_slash_and_is_a_percent_sign() -> None:
    assert ROOT.file_key(REPODATA) == "noarch/repodata.json"
    assert ROOT.shard_key(DIGEST) == f"noarch/shards/{DIGEST}.msgpack.zst"
    assert ROOT.head_key == "heads/%/noarch.json"
    assert ROOT.staging_key("a-1-0.conda", "7") == "staging/%/noarch/a-1-0.conda/7.json"
    assert parse_channel_component("%") == ""


def test_a_channel_that_is_itself_a_percent_sign_is_not_the_root() -> None:
    assert Subdir("%", "noarch").head_key == "heads/%25/noarch.json"
    assert parse_channel_component("%25") == "%"


def test_an_unreadable_staging_record_is_set_aside_under_its_own_path() -> None:
    staged = DEEP.staging_key("a-1-0.conda", "7")
    assert (
        DEEP.unreadable_staging_key(staged)
        == "unreadable/Conda%2FDefault/linux-64/a-1-0.conda/7.json"
    )


def test_a_filename_that_would_overflow_a_staging_key_is_hashed() -> None:
    channel = "c" * CHANNEL_COMPONENT_CHARS_MAX
    subdir = Subdir(channel, "a" * 15 + "-" + "b" * 16)
    long = [subdir.staging_key(f"{'é' * 300}{n}.conda", "f" * 64) for n in range(2)]
    assert long[0] != long[1]
    assert all(len(key.encode()) <= S3_KEY_BYTES_MAX for key in long)
    assert long[0].split("/")[3].startswith("~")


def test_the_index_files_do_not_pass_the_filter_of_the_notifications() -> None:
    keys = [DEEP.file_key(file) for file in (REPODATA, REPODATA_ZST, SHARD_INDEX)]
    assert [parse_package_key(key) for key in [*keys, DEEP.shard_key(DIGEST)]] == [None] * 4


@pytest.mark.parametrize(
    ("key", "channel", "subdir", "filename"),
    [
        ("linux-64/a-1-0.conda", "", "linux-64", "a-1-0.conda"),
        ("noarch/a-1-0.tar.bz2", "", "noarch", "a-1-0.tar.bz2"),
        ("Conda/Default/osx-arm64/a-1-0.conda", "Conda/Default", "osx-arm64", "a-1-0.conda"),
        ("c/linux-64/torch-2.1+cpu-0.conda", "c", "linux-64", "torch-2.1+cpu-0.conda"),
        ("c/noarch/noarch/a-1-0.conda", "c/noarch", "noarch", "a-1-0.conda"),
        ("1/2/3/4/5/6/7/8/noarch/a-1-0.conda", "1/2/3/4/5/6/7/8", "noarch", "a-1-0.conda"),
        ("c/noarch/Odd-but+named!-0.conda", "c", "noarch", "Odd-but+named!-0.conda"),
    ],
)
def test_a_key_in_a_subdir_is_taken_apart_if_a_package_is_named_in_it(
    key: str, channel: str, subdir: str, filename: str
) -> None:
    found = parse_package_key(key)
    assert found == PackageKey(Subdir(channel, subdir), filename)
    assert found
    assert found.key == key


@pytest.mark.parametrize(
    "key",
    [
        "a-1-0.conda",
        "/noarch/a-1-0.conda",
        "c//noarch/a-1-0.conda",
        "/c/noarch/a-1-0.conda",
        "c/linux/a-1-0.conda",
        "c/Linux-64/a-1-0.conda",
        "c/noarch/a-1-0.zip",
        "c/noarch/a-1-0.conda/",
        "c/noarch/shards/a-1-0.conda",
        "c/noarch/repodata.json",
        "my team/noarch/a-1-0.conda",
        "my%20team/noarch/a-1-0.conda",
        "c/noarch/a -1-0.conda",
        "c/noarch/a%2B-1-0.conda",
        f"{'é' * CHANNEL_COMPONENT_CHARS_MAX}/noarch/a-1-0.conda",
        f"{'c/' * (CHANNEL_DEPTH_MAX + 1)}noarch/a-1-0.conda",
        "",
    ],
)
def test_a_key_outside_every_subdir_is_none_of_our_business(key: str) -> None:
    assert parse_package_key(key) is None


@pytest.mark.parametrize("channel", ["", "team", "Conda/Default", "linux-64"])
def test_the_configuration_of_a_channel_lies_beside_its_subdirs(channel: str) -> None:
    key = config_key(channel)
    assert key == Subdir(channel, "noarch").prefix.removesuffix("noarch/") + SLUICE_TOML
    assert parse_config_key(key) == channel
    assert parse_package_key(key) is None


@pytest.mark.parametrize(
    "key",
    [
        "/sluice.toml",
        "//sluice.toml",
        "a//b/sluice.toml",
        "team/my-sluice.toml",
        "my-sluice.toml",
        "team/Sluice.toml",
        "team/sluice.toml/",
        "team/sluice.toml.bak",
        "my team/sluice.toml",
        "my%20team/sluice.toml",
        f"{'é' * CHANNEL_COMPONENT_CHARS_MAX}/sluice.toml",
        f"{'c/' * (CHANNEL_DEPTH_MAX + 1)}sluice.toml",
        "team/",
        "",
    ],
)
def test_what_lies_elsewhere_or_is_named_otherwise_configures_nothing(key: str) -> None:
    assert parse_config_key(key) is None


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("demo", True),
        ("_libgcc_mutex", True),
        ("conda-forge-repodata-patches", True),
        ("n" * 64, True),
        ("n" * 65, False),
        ("Demo", False),
        ("__virtual", False),
        ("demo ", False),
        ("", False),
    ],
)
def test_a_name_of_a_package_is_what_cep_26_allows(text: str, *, allowed: bool) -> None:
    assert is_package_name(text) is allowed


def test_files_are_told_apart_by_their_archive() -> None:
    assert split_extension("a-1-0.conda") == ("a-1-0", "conda")
    assert split_extension("a-1-0.tar.bz2") == ("a-1-0", "tar.bz2")
    by_filename = {"b-1-0.conda": 1, "b-1-0.tar.bz2": 2, "a-1-0.tar.bz2": 3, "a-1-0.conda": 4}
    packages, packages_conda = split_by_archive(by_filename)
    assert [*packages.items()] == [("a-1-0.tar.bz2", 3), ("b-1-0.tar.bz2", 2)]
    assert [*packages_conda.items()] == [("a-1-0.conda", 4), ("b-1-0.conda", 1)]
    assert split_by_archive({"b.conda": 1, "a.conda": 2}) == ({}, {"a.conda": 2, "b.conda": 1})
    assert split_by_archive({"a.tar.bz2": 1}) == ({"a.tar.bz2": 1}, {})


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("noarch", True),
        ("linux-64", True),
        ("emscripten-wasm32", True),
        ("a" * 15 + "-" + "b" * 16, True),
        ("a" * 16 + "-" + "b" * 16, False),
        ("linux", False),
        ("linux-aarch-64", False),
        ("Linux-64", False),
        ("linux-64\n", False),
        ("", False),
    ],
)
def test_a_subdir_is_what_cep_26_allows(text: str, *, allowed: bool) -> None:
    assert is_subdir(text) is allowed


@pytest.mark.parametrize(
    ("filename", "parts"),
    [
        ("a-1-0.conda", ("a", "1", "0", ".conda")),
        ("a-1-0.tar.bz2", ("a", "1", "0", ".tar.bz2")),
        ("_libgcc_mutex-0.1-main.conda", ("_libgcc_mutex", "0.1", "main", ".conda")),
        ("ruamel.yaml-0.18-py_0.conda", ("ruamel.yaml", "0.18", "py_0", ".conda")),
        ("torch-2.1+cpu-py_0.conda", ("torch", "2.1+cpu", "py_0", ".conda")),
        ("x-y-z-1!2.0-A_1.conda", ("x-y-z", "1!2.0", "A_1", ".conda")),
        (f"{'n' * 64}-{'1' * 64}-{'b' * 64}.conda", ("n" * 64, "1" * 64, "b" * 64, ".conda")),
    ],
)
def test_a_filename_is_name_version_and_build(
    filename: str, parts: tuple[str, str, str, str]
) -> None:
    assert parse_filename(filename) == FilenameParts(*parts)
    assert package_name(filename) == parts[0]


@pytest.mark.parametrize(
    "filename",
    [
        "a-1.conda",
        "a-1-0.zip",
        "a-1-0",
        "-1-0.conda",
        "a--0.conda",
        "a-1-.conda",
        "A-1-0.conda",
        "__virtual-1-0.conda",
        "a..b-1-0.conda",
        "a-1 0-0.conda",
        "a-1-0!.conda",
        "a-1-é.conda",
        "a-1-0\n.conda",
        f"{'n' * 65}-1-0.conda",
        f"a-{'1' * 65}-0.conda",
        f"a-1-{'b' * 65}.conda",
        "x" * FILENAME_CHARS_MAX + "-1-0.conda",
        ".conda",
        "",
    ],
)
def test_a_filename_that_cep_26_forbids_is_not_one(filename: str) -> None:
    assert parse_filename(filename) is None


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("alpha-1.0RC1-0.conda", "alpha"),
        ("Alpha-1.0-0.tar.bz2", "alpha"),
        ("foo__bar-1-0.conda", "foo__bar"),
        ("a-1-0\n.conda", "a"),
        (f"{'n' * 64}-1-0.conda", "n" * 64),
        (f"{'n' * 65}-1-0.conda", ""),
        ("a-1.conda", ""),
        ("-1-0.conda", ""),
        ("é-1-0.conda", ""),
        ("a b-1-0.conda", ""),
        ("a-1-0.zip", ""),
        (".conda", ""),
        ("", ""),
    ],
)
def test_the_catalog_keeps_a_file_under_a_name_wherever_one_can_be_told(
    filename: str, name: str
) -> None:
    assert package_name(filename) == name


@pytest.mark.parametrize(
    "folder",
    [
        *(DEEP.leaves, DEEP.trees, DEEP.commits, DEEP.patches),
        *(DEEP.taken_over_indexes, DEEP.shards, DEEP.packs),
    ],
)
def test_only_a_key_that_sluice_would_give_is_taken_for_one_of_its_objects(
    folder: ContentAddressedFolder,
) -> None:
    key = folder.key(DIGEST)
    assert folder.digest_of(key) == DIGEST
    others = [
        *(
            ROOT.leaf_key(DIGEST),
            ROOT.pack_key(DIGEST),
            ROOT.tree_key(DIGEST),
            ROOT.commit_key(DIGEST),
            ROOT.shard_key(DIGEST),
        ),
        *(DEEP.head_key, DEEP.marks_key, DEEP.brakes_key, DEEP.rejects_key),
        *(DEEP.file_key(REPODATA), DEEP.file_key("a-1-0.conda")),
        *(folder.prefix, folder.suffix, DIGEST, "", f"{key}\n", f"{key}/", f"/{key}"),
        *(f"{folder.prefix}{key}", f"{key}{folder.suffix or '.zst'}", f"{folder.prefix}x/{DIGEST}"),
        *(folder.key(DIGEST.upper()), folder.key(DIGEST[1:]), folder.key(f"{DIGEST}0")),
        *(folder.key("x" * 64), folder.key("\u0661" * 64), folder.key("")),
        *([key.removesuffix(folder.suffix)] if folder.suffix else []),
        key.removeprefix(folder.prefix),
    ]
    assert [folder.digest_of(other) for other in others] == [None] * len(others)


@pytest.mark.parametrize(
    "key",
    [
        "heads/",
        "heads/stray",
        "heads/a/stray.json",
        "heads//noarch.json",
        "heads/a/b/noarch.json",
        "reconciliations/2026-11-23T084023Z-1f2e3d4c.json",
    ],
)
def test_a_private_key_may_be_about_no_subdir(key: str) -> None:
    assert parse_state_key(key) is None


@pytest.mark.parametrize(
    "key",
    [
        f"shards/{DIGEST}.msgpack.zst",
        f"backup/shards/{DIGEST}.msgpack.zst",
        f"noarch/shards/deeper/{DIGEST}.msgpack.zst",
        f"noarch/shards/{DIGEST}.msgpack",
        "noarch/shards/a-1-0.conda",
        f"noarch/{DIGEST}.msgpack.zst",
    ],
)
def test_what_does_not_lie_where_shards_lie_or_has_another_name_is_no_shard(key: str) -> None:
    assert parse_shard_key(key) is None


def test_the_folders_of_all_channels_of_one_and_of_the_one_at_the_root() -> None:
    assert [state_prefix("heads", channel) for channel in (None, "Conda/Default", "")] == [
        "heads/",
        "heads/Conda%2FDefault/",
        "heads/%/",
    ]


def test_a_report_is_named_after_its_run_and_what_a_run_finds_in_a_subdir_lies_beside_it() -> None:
    run = "2026-11-23T084023Z-1f2e3d4c"
    assert reconcile_report_key(run) == f"reconciliations/{run}.json"
    assert reconcile_part_key(run, DEEP) == (
        f"reconciliations/{run}/Conda%2FDefault/{DEEP.name}.json"
    )
    assert reconcile_part_key(run, ROOT) == f"reconciliations/{run}/%/{ROOT.name}.json"


def test_what_waits_lies_beside_the_marks() -> None:
    assert DEEP.brakes_key == DEEP.marks_key.replace("marks/", "brakes/")
    assert parse_state_key(DEEP.brakes_key) == DEEP
