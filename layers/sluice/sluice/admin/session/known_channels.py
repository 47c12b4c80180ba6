"""Errors about unknown channels and subdirs, with suggestions from the state.

A mistyped channel looks like an empty one.  So a command that finds nothing at an address says so,
and suggests channels and subdirs with similar names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from itertools import islice

from sluice.admin.session.address import Address
from sluice.admin.session.channel import Channel
from sluice.admin.session.subdirs import find_subdirs
from sluice.catalog.head import read_head
from sluice.conda.names import NOARCH, is_subdir
from sluice.errors import UnknownChannel
from sluice.layout import REPODATA, Subdir, is_package_file, parse_state_key, state_prefix
from sluice.limits import KEYS_PER_PAGE, SUGGESTION_HEADS_MAX, SUGGESTIONS_LISTED_MAX
from sluice.publish.fence import Stamp
from sluice.storage.object_store import ObjectStore
from sluice.text import printable


def unknown_channel_error(channel: Channel) -> UnknownChannel:
    """The error about a channel that the state does not know, with what is likely meant.

    A page of heads or a few are listed, and an index file is looked at.  Raises ``Unavailable``.
    """
    known = _known_subdirs(channel.state)
    hint = _likely_meaning(channel, known) or _all_channels(channel, known)
    return UnknownChannel(
        f"the state {channel.owner} has no channel {_address(channel, channel.name)}: {hint}"
    )


def has_live_subdir(channel: Channel) -> bool:
    """Whether the state has a head or staging of a channel that was not retired since."""
    return any(
        not read_head(channel.state, subdir).value.is_tombstone
        or next(iter(channel.state.list(subdir.staging_prefix)), None) is not None
        for subdir in find_subdirs(channel)
    )


def require_known(channel: Channel) -> None:
    """Raise ``UnknownChannel`` if the state has no live subdir of a channel."""
    if not has_live_subdir(channel):
        raise unknown_channel_error(channel)


def explain_nothing_to_index(channel: Channel) -> str:
    """The sentence about a place with neither packages nor a catalog.  Raises ``Unavailable``."""
    hint = _likely_meaning(channel, _known_subdirs(channel.state))
    return (
        f"{_address(channel, channel.name)}/<subdir>/ has no packages, and the state "
        f"{channel.owner} has no catalog of this channel: "
        f"{hint or 'to publish an empty channel, add --create'}"
    )


def explain_unknown_subdir(channel: Channel, name: str, known: Iterable[str]) -> str:
    """The sentence about a subdir that a channel with the subdirs ``known`` does not have."""
    subdirs = sorted(known)
    sentence = f"{_address(channel, channel.name)} has no subdir {printable(name)!r}"
    if not subdirs:
        return f"{sentence}, and no other subdirs"
    likely = did_you_mean(name, subdirs)
    question = f". Did you mean {likely}?" if likely else ""
    return f"{sentence}; it has {_enumerate(subdirs)}{question}"


def _likely_meaning(channel: Channel, known: Mapping[str, Collection[str]]) -> str | None:
    """What is likely meant by the address of a channel that is not among the known ones."""
    if channel.name in known:
        return "it was retired. A new upload starts a new history"
    parent, _, name = channel.name.rpartition("/")
    if is_subdir(name) and (parent in known or _has_packages(channel)):
        of_channel = _address(channel, parent)
        if parent in known and name not in known[parent]:
            return explain_unknown_subdir(replace(channel, name=parent), name, known[parent])
        return f"{name} is a subdir of the channel {of_channel}. Use the address of the channel"
    owner = _publisher(channel)
    if owner is not None and owner != channel.owner:
        return (
            f"the state {printable(owner)} publishes its index. To use that state, set --state "
            f"{printable(owner)}. To publish from this state instead, run sluice index --adopt"
        )
    likely = did_you_mean(channel.name, known)
    return None if likely is None else f"did you mean {_address(channel, likely)}?"


def _all_channels(channel: Channel, known: Collection[str]) -> str:
    if known:
        return f"it has {_enumerate([_address(channel, each) for each in sorted(known)])}"
    return (
        "the state is empty. Check --state or --stack. If they are right, index the channel with "
        "sluice index"
    )


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The known word that resembles ``word``, if any does."""
    by_folded = {each.casefold(): each for each in known}
    matches = get_close_matches(word.casefold(), by_folded, n=1)
    return by_folded[matches[0]] if matches else None


def _has_packages(channel: Channel) -> bool:
    """Whether packages are directly in the folder of what is said to be a channel."""
    page = channel.public.list(f"{channel.name}/", delimiter="/")
    names = (info.key.rpartition("/")[2] for info in islice(page, KEYS_PER_PAGE))
    return any(map(is_package_file, names))


def _known_subdirs(state: ObjectStore) -> dict[str, set[str]]:
    """Subdirs by channel, from the first heads of a state."""
    known: dict[str, set[str]] = {}
    for info in islice(state.list(state_prefix("heads", None)), SUGGESTION_HEADS_MAX):
        if subdir := parse_state_key(info.key):
            known.setdefault(subdir.channel, set()).add(subdir.name)
    return known


def _publisher(channel: Channel) -> str | None:
    """The state that the published index names; ``None`` if there is none, or another tool's."""
    info = channel.public.head(Subdir(channel.name, NOARCH).file_key(REPODATA))
    stamp = Stamp.parse(info.metadata) if info else None
    return stamp.owner if stamp and not stamp.is_of_snapshot else None


def _address(channel: Channel, name: str) -> str:
    return str(Address(channel.bucket, name)).rstrip("/")


def _enumerate(names: Sequence[str]) -> str:
    listed = list(map(printable, names[:SUGGESTIONS_LISTED_MAX]))
    if len(names) > len(listed):
        return f"{', '.join(listed)} and others"
    return " and ".join(filter(None, [", ".join(listed[:-1]), listed[-1]]))
