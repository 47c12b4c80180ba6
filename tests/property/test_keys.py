"""The key grammar takes apart what it put together, and no channel reaches into another's keys."""

from __future__ import annotations

from hypothesis import assume, example, given
from hypothesis import strategies as st

from sluice.conda.names import (
    NO_NAME,
    PACKAGE_SUFFIXES,
    FilenameParts,
    package_name,
    parse_filename,
)
from sluice.layout import (
    PackageKey,
    Subdir,
    key_after_prefix,
    parse_channel_component,
    parse_package_key,
    parse_shard_key,
    parse_state_key,
    state_prefix,
)
from sluice.limits import CHANNEL_COMPONENT_CHARS_MAX

RELATIVE = (".", "..")
"""No components of a channel: no client could ask for it, for URLs do without them."""
LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"
COMPONENT = st.text(
    st.one_of(
        st.sampled_from("aZ9%~+!-_. é/"), st.characters(codec="utf-8", exclude_characters="/")
    ),
    min_size=1,
    max_size=12,
).filter(lambda text: "/" not in text)
CHANNELS = st.lists(COMPONENT.filter(lambda text: text not in RELATIVE), max_size=4).map("/".join)
SUBDIR_NAMES = st.one_of(
    st.just("noarch"), st.from_regex(r"[a-z0-9]{1,9}-[a-z0-9]{1,9}", fullmatch=True)
)
SUBDIRS = st.builds(Subdir, CHANNELS, SUBDIR_NAMES)
NAMES = st.from_regex(r"_?[a-z0-9]{1,6}([._-][a-z0-9]{1,6}){0,3}", fullmatch=True)
VERSIONS = st.text(LOWER + "._+!", min_size=1, max_size=12)
BUILDS = st.text(LOWER + "ABZ._+", min_size=1, max_size=12)
SUFFIXES = st.sampled_from(PACKAGE_SUFFIXES)
PACKAGE_NAMES = st.builds(FilenameParts, NAMES, VERSIONS, BUILDS, SUFFIXES)
FILENAMES = st.one_of(
    PACKAGE_NAMES.map(lambda p: f"{p.name}-{p.version}-{p.build}{p.suffix}"),
    st.builds("{}{}".format, COMPONENT, SUFFIXES),
)


def state_keys(subdir: Subdir, filename: str, unique_id: str) -> list[str]:
    """One private key of every kind."""
    digest = "0" * 64
    return [
        subdir.head_key,
        subdir.commit_key(digest),
        subdir.tree_key(digest),
        subdir.leaf_key(digest),
        subdir.pack_key(digest),
        subdir.rejects_key,
        subdir.taken_over_key(digest),
        subdir.marks_key,
        subdir.staging_key(filename, unique_id),
        subdir.unreadable_staging_key(subdir.staging_key(filename, unique_id)),
    ]


@given(SUBDIRS, FILENAMES)
def test_the_key_of_a_package_is_taken_apart_into_what_it_was_made_of(
    subdir: Subdir, filename: str
) -> None:
    assume(len(subdir.component) <= CHANNEL_COMPONENT_CHARS_MAX)
    key = PackageKey(subdir, filename)
    refused = {" ", "%"} & set(key.key) or package_name(filename) == NO_NAME
    assert parse_package_key(key.key) == (None if refused else key)


@given(CHANNELS, st.sampled_from(RELATIVE), CHANNELS, SUBDIR_NAMES, FILENAMES)
def test_no_package_lies_behind_a_component_that_urls_do_without(
    before: str, component: str, behind: str, name: str, filename: str
) -> None:
    channel = "/".join(part for part in (before, component, behind) if part)
    assert parse_package_key(PackageKey(Subdir(channel, name), filename).key) is None


@given(st.text(max_size=60))
@example("a/../noarch/x.conda")
def test_a_key_that_can_be_taken_apart_is_put_together_the_same(text: str) -> None:
    for key in (text, f"{text}/noarch/a-1-0.conda", f"{text}.conda", f"linux-64/{text}.tar.bz2"):
        found = parse_package_key(key)
        assert found is None or found.key == key


@given(PACKAGE_NAMES)
def test_a_filename_says_what_it_was_made_of(name: FilenameParts) -> None:
    assert parse_filename(f"{name.name}-{name.version}-{name.build}{name.suffix}") == name


@given(st.text(max_size=40))
def test_a_filename_that_can_be_parsed_is_made_of_its_parts(text: str) -> None:
    for filename in (text, f"{text}.conda", f"a-{text}.tar.bz2"):
        name = parse_filename(filename)
        assert name is None or f"{name.name}-{name.version}-{name.build}{name.suffix}" == filename


@given(CHANNELS)
@example("")
@example("%")
@example("%25")
@example("a%2Fb")
def test_a_channel_is_one_component_of_a_private_key_and_comes_back(channel: str) -> None:
    kind, component, rest = Subdir(channel, "noarch").head_key.split("/")
    assert (kind, rest) == ("heads", "noarch.json")
    assert parse_channel_component(component) == channel
    assert component.isascii()


@given(SUBDIRS, SUBDIRS, FILENAMES, FILENAMES)
@example(Subdir("", "noarch"), Subdir("%", "noarch"), "a-1-0.conda", "a-1-0.conda")
@example(Subdir("a", "noarch"), Subdir("a/noarch", "noarch"), "a-1-0.conda", "a-1-0.conda")
@example(Subdir("a/b", "noarch"), Subdir("a%2Fb", "noarch"), "a-1-0.conda", "a-1-0.conda")
def test_no_private_key_of_one_subdir_lies_under_another_s(
    one: Subdir, other: Subdir, filename: str, other_filename: str
) -> None:
    assume(one != other)
    ours = state_keys(one, filename, "1")
    theirs = state_keys(other, other_filename, "1")
    assert not set(ours) & set(theirs)
    assert not any(key.startswith(one.staging_prefix) for key in theirs)
    assert not any(
        key.startswith(f"{kind}/{one.component}/")
        for kind in ("commits", "trees", "leaves", "staging", "unreadable")
        for key in theirs
    )


@given(SUBDIRS, FILENAMES, FILENAMES)
def test_two_files_never_share_a_folder_of_staging(
    subdir: Subdir, filename: str, other: str
) -> None:
    assume(filename != other)
    one, two = subdir.staging_key(filename, "1"), subdir.staging_key(other, "1")
    assert one.rpartition("/")[0] != two.rpartition("/")[0]
    assert one.count("/") == two.count("/") == 4


@given(SUBDIRS, FILENAMES)
def test_a_private_key_tells_its_subdir_and_lies_in_its_channels_folder(
    subdir: Subdir, filename: str
) -> None:
    for key in state_keys(subdir, filename, "7"):
        assert parse_state_key(key) == subdir
        kind = key.partition("/")[0]
        assert key.startswith(state_prefix(kind, subdir.channel))
        assert key.startswith(state_prefix(kind, None))


@given(SUBDIRS, FILENAMES)
def test_a_shard_tells_its_subdir_and_a_package_is_none(subdir: Subdir, filename: str) -> None:
    assert parse_shard_key(subdir.shard_key("ab" * 32)) == subdir
    assert parse_shard_key(subdir.file_key(filename)) is None


@given(st.text(min_size=1).map(lambda text: text + "/"), st.text(), st.text())
def test_behind_a_folder_is_behind_all_that_lies_in_it_and_nothing_else(
    folder: str, inside: str, other: str
) -> None:
    assert folder + inside < key_after_prefix(folder)
    if other > folder and not other.startswith(folder):
        assert other >= key_after_prefix(folder)
