"""Objects with the suffix of a package whose keys cannot be indexed, and the reasons.  Pure.

sluice indexes only what the grammar of ``layout`` accepts.  People mistype a subdir or forget it,
so whatever else ends like a package is counted and explained instead of ignored in silence.  Only
counts and a few examples are kept, however many there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from sluice.conda.names import KNOWN_SUBDIRS, PACKAGE_SUFFIXES, is_subdir
from sluice.layout import Subdir, is_key_text, parse_package_key, parse_subdir_folder
from sluice.limits import (
    MISPLACED_CHANNELS_MAX,
    MISPLACED_EXAMPLES_MAX,
    MISPLACED_KEY_CHARS_MAX,
)
from sluice.text import printable

_OTHER_WORDS = {"linux": "linux-64", "osx": "osx-64", "win": "win-64", "windows": "win-64"}


class Misplacement(NamedTuple):
    """Why no package can be at a key."""

    channel: str
    """The folder that is most likely meant to be the channel."""
    reason: str
    """The end of a sentence that begins with the key, on one line."""


class MisplacedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One example."""

    key: str
    """The key, printable and cut to ``MISPLACED_KEY_CHARS_MAX``."""
    reason: str


class MisplacedFiles(msgspec.Struct, kw_only=True):
    """The misplaced files of one presumed channel."""

    channel: str
    count: int = 0
    more: bool = False
    """Whether there may be more than were counted."""
    examples: list[MisplacedFile] = msgspec.field(default_factory=list)

    def add(self, other: MisplacedFiles) -> None:
        """Add those that were counted elsewhere."""
        self.count += other.count
        self.more |= other.more
        self.examples = (self.examples + other.examples)[:MISPLACED_EXAMPLES_MAX]

    def is_within(self, channel: str) -> bool:
        """Whether they are in the folder of a channel."""
        return not channel or f"{self.channel}/".startswith(f"{channel}/")


def find_misplacement(key: str) -> Misplacement | None:
    """Explain why a key that ends like a package's is none; ``None`` for any other key."""
    if not key.endswith(PACKAGE_SUFFIXES) or parse_package_key(key):
        return None
    folder = key.rpartition("/")[0]
    return _refused_key(key, folder) or _wrong_folder(folder)


class MisplacedTally:
    """Counts misplaced files by their presumed channel, in bounded memory."""

    def __init__(self, files: Iterable[MisplacedFiles] = ()) -> None:
        """``files``: those that were counted before."""
        self._by_channel: dict[str, MisplacedFiles] = {}
        for counted in files:
            self._of(counted.channel).add(counted)

    @property
    def files(self) -> list[MisplacedFiles]:
        """The files by presumed channel, in order."""
        return [files for _, files in sorted(self._by_channel.items())]

    @property
    def count(self) -> int:
        """Number of files."""
        return sum(files.count for files in self._by_channel.values())

    def add_key(self, key: str) -> Misplacement | None:
        """Count a key if it is misplaced, and return the reason."""
        misplacement = find_misplacement(key)
        if misplacement:
            files = self._of(misplacement.channel)
            files.count += 1
            if len(files.examples) < MISPLACED_EXAMPLES_MAX:
                cut = printable(key)[:MISPLACED_KEY_CHARS_MAX]
                files.examples.append(
                    MisplacedFile(key=cut, reason=_shortened(misplacement.reason))
                )
        return misplacement

    def add(self, other: MisplacedTally) -> None:
        """Add those of another tally."""
        for files in other.files:
            self._of(files.channel).add(files)

    def note_more(self, channel: str) -> None:
        """Note that a channel may have more of them than were counted, if it has any."""
        if channel in self._by_channel:
            self._by_channel[channel].more = True

    def _of(self, channel: str) -> MisplacedFiles:
        """The files of a channel; beyond the bound, those of the folder that holds all channels."""
        if channel not in self._by_channel and len(self._by_channel) >= MISPLACED_CHANNELS_MAX:
            channel = ""
        return self._by_channel.setdefault(
            channel, MisplacedFiles(channel=channel[:MISPLACED_KEY_CHARS_MAX])
        )


def _refused_key(key: str, folder: str) -> Misplacement | None:
    """The reason if no key of any package is like this one."""
    channel, _, name = folder.rpartition("/")
    if not is_key_text(key):
        character = "a space" if " " in key else "a %"
        likely = channel if is_subdir(name) else folder
        return Misplacement(likely, f"its key contains {character}, which CEP 26 forbids")
    if key.startswith("/") or (folder and not {"", ".", ".."}.isdisjoint(folder.split("/"))):
        return Misplacement(folder, "a part of its path is empty, . or .., which URLs cannot have")
    if parse_subdir_folder(folder):
        reason = "its filename is not <name>-<version>-<build>, so clients cannot request it"
        return Misplacement(channel, reason)
    if is_subdir(name):
        return Misplacement(channel, "the path of its channel is too long or too deep")
    return None


def _wrong_folder(folder: str) -> Misplacement:
    channel, _, name = folder.rpartition("/")
    if suggestion := _suggest_subdir(name):
        sentence = f"{printable(name)} is not a subdir; did you mean {suggestion}?"
        return Misplacement(channel, sentence)
    parts = folder.split("/")
    for depth in range(len(parts) - 2, -1, -1):
        if parts[depth] in KNOWN_SUBDIRS:
            reason = f"it is in a folder below {parts[depth]}, not directly in the subdir"
            return Misplacement("/".join(parts[:depth]), reason)
    place = printable(Subdir(folder, "linux-64").prefix)
    return Misplacement(folder, f"it is not in a subdir; packages belong in a folder like {place}")


def _squash(name: str) -> str:
    return re.sub("[-_. ]", "", name.lower())


_SUGGESTIONS = {**{_squash(subdir): subdir for subdir in KNOWN_SUBDIRS}, **_OTHER_WORDS}
"""Subdirs by their letters and digits.  A bucket may hold a million other folders, so this has to
be cheap."""


def _suggest_subdir(name: str) -> str | None:
    return _SUGGESTIONS.get(_squash(name))


def _shortened(text: str) -> str:
    return text if len(text) <= MISPLACED_KEY_CHARS_MAX else text[:MISPLACED_KEY_CHARS_MAX] + "…"
