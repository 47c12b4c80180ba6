"""Objects that end like packages and are where no package is: the reason, and bounded counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.conda.names import PACKAGE_SUFFIXES
from sluice.extract.misplaced import MisplacedFiles, MisplacedTally, find_misplacement
from sluice.layout import parse_package_key
from sluice.limits import (
    CHANNEL_COMPONENT_CHARS_MAX,
    MISPLACED_CHANNELS_MAX,
    MISPLACED_EXAMPLES_MAX,
    MISPLACED_KEY_CHARS_MAX,
)

LONG = "c" * (CHANNEL_COMPONENT_CHARS_MAX + 1)


@pytest.mark.parametrize(
    ("key", "channel", "reason"),
    [
        ("team/linux64/x.conda", "team", "linux64 is not a subdir; did you mean linux-64?"),
        ("team/Linux-64/x.conda", "team", "Linux-64 is not a subdir; did you mean linux-64?"),
        ("team/osx_arm64/x.conda", "team", "osx_arm64 is not a subdir; did you mean osx-arm64?"),
        ("team/linux/x.tar.bz2", "team", "linux is not a subdir; did you mean linux-64?"),
        ("NoArch/x.conda", "", "NoArch is not a subdir; did you mean noarch?"),
        ("x.conda", "", "it is not in a subdir; packages belong in a folder like linux-64/"),
        (
            "team/x.conda",
            "team",
            "it is not in a subdir; packages belong in a folder like team/linux-64/",
        ),
        (
            "team/stable/x.conda",
            "team/stable",
            "it is not in a subdir; packages belong in a folder like team/stable/linux-64/",
        ),
        ("my team/linux-64/x.conda", "my team", "its key contains a space, which CEP 26 forbids"),
        ("my%20team/linux-64/x.conda", "my%20team", "its key contains a %, which CEP 26 forbids"),
        ("team/linux-64/my x.conda", "team", "its key contains a space, which CEP 26 forbids"),
        (
            "team/my stuff/x.conda",
            "team/my stuff",
            "its key contains a space, which CEP 26 forbids",
        ),
        (
            "team/linux-64/old/x.conda",
            "team",
            "it is in a folder below linux-64, not directly in the subdir",
        ),
        (
            "team/noarch/a/b/x.conda",
            "team",
            "it is in a folder below noarch, not directly in the subdir",
        ),
        (
            "team//noarch/x.conda",
            "team//noarch",
            "a part of its path is empty, . or .., which URLs cannot have",
        ),
        ("/x.conda", "", "a part of its path is empty, . or .., which URLs cannot have"),
        (f"{LONG}/noarch/x.conda", LONG, "the path of its channel is too long or too deep"),
    ],
)
def test_a_misplaced_file_is_explained(key: str, channel: str, reason: str) -> None:
    assert find_misplacement(key) == (channel, reason)


@pytest.mark.parametrize(
    "key",
    [
        "team/linux-64/x-1-0.conda",
        "team/linux-64/Odd-but+named!-0.tar.bz2",
        "team/linux64/repodata.json",
        "my team/notes.txt",
        "team/x.conda/",
        "",
    ],
)
def test_other_objects_are_not_misplaced(key: str) -> None:
    assert find_misplacement(key) is None


@given(st.text(), st.sampled_from([*PACKAGE_SUFFIXES, ""]))
def test_what_ends_like_a_package_is_either_one_or_explained_on_one_line(
    text: str, suffix: str
) -> None:
    key = text + suffix
    found = find_misplacement(key)
    is_package = parse_package_key(key) is not None
    assert (found is not None) == (key.endswith(PACKAGE_SUFFIXES) and not is_package)
    if found:
        assert found.reason.isprintable()


def test_a_tally_counts_everything_and_keeps_few_examples() -> None:
    tally = MisplacedTally()
    for number in range(50):
        assert tally.add_key(f"team/linux64/x-{number:02}.conda")
    assert tally.add_key("crew/x\n.conda")
    assert not tally.add_key("team/linux-64/x-1-0.conda")
    assert tally.count == 51
    crew, team = tally.files
    assert (crew.channel, crew.count, crew.examples[0].key) == ("crew", 1, "crew/x\\n.conda")
    assert (team.channel, team.count) == ("team", 50)
    assert [example.key for example in team.examples] == [
        f"team/linux64/x-{number:02}.conda" for number in range(MISPLACED_EXAMPLES_MAX)
    ]


def test_a_tally_is_bounded_whatever_is_in_the_bucket() -> None:
    tally = MisplacedTally()
    for number in range(3 * MISPLACED_CHANNELS_MAX):
        tally.add_key(f"{number}/{'é' * 800}/x.conda")
    assert tally.count == 3 * MISPLACED_CHANNELS_MAX
    assert len(tally.files) <= MISPLACED_CHANNELS_MAX + 1
    for files in tally.files:
        assert len(files.channel) <= MISPLACED_KEY_CHARS_MAX
        assert len(files.examples) <= MISPLACED_EXAMPLES_MAX
        for example in files.examples:
            assert len(example.key) <= MISPLACED_KEY_CHARS_MAX
            assert len(example.reason) <= MISPLACED_KEY_CHARS_MAX + 1


def test_tallies_add_up() -> None:
    one, other = MisplacedTally(), MisplacedTally()
    one.add_key("team/x.conda")
    other.add_key("team/y.conda")
    other.add_key("crew/y.conda")
    other.note_more("crew")
    other.note_more("nobody")
    one.add(other)
    assert [(files.channel, files.count, files.more) for files in one.files] == [
        ("crew", 1, True),
        ("team", 2, False),
    ]
    assert MisplacedTally(one.files).count == 3


@pytest.mark.parametrize(
    ("of", "channel"), [("team", "team"), ("team/old", "team"), ("team", ""), ("", "")]
)
def test_files_are_shown_with_the_channel_in_whose_folder_they_are(of: str, channel: str) -> None:
    assert MisplacedFiles(channel=of).is_within(channel)


@pytest.mark.parametrize(("of", "channel"), [("team2", "team"), ("", "team"), ("te", "team")])
def test_files_are_not_shown_with_other_channels(of: str, channel: str) -> None:
    assert not MisplacedFiles(channel=of).is_within(channel)
