"""The configuration of a channel: ``sluice.toml`` in its folder.  Pure.

``[index-config]`` has the keys and the meaning of rattler-index's table of that name, so a table
written for rattler-index works unchanged, also one for a newer rattler-index: a key that nobody
knows yet is a warning.  ``[sluice]`` has the settings that only sluice has.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Literal

import msgspec

from sluice.conda.names import is_package_name
from sluice.errors import BadConfig, Corrupt
from sluice.layout import SLUICE_TOML
from sluice.limits import (
    CONFIG_BYTES_MAX,
    CONFIG_DOTS_MAX,
    CONFIG_WARNINGS_MAX,
    DETECTED_PACKAGES_MAX,
    DETECTORS_MAX,
    REVISION_MESSAGE_BYTES_MAX,
)
from sluice.text import printable

_FINGERPRINT_CHARS = 16
_INDEX_CONFIG, _SLUICE = "index-config", "sluice"
_INTERVAL_MAX = 2**63 - 1  # MessagePack's largest signed integer

AwareDatetime = Annotated[datetime, msgspec.Meta(tz=True)]
"""A TOML date-time, or an RFC 3339 string."""


class Revision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A repodata revision that the channel lists even where it has no packages (CEP 48)."""

    revision: Literal["v3"]
    """The original layout has no name and is not listed."""
    message: str | None = None
    """A message of the channel's operators, at most 8192 bytes."""


class Relations(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Related channels, as paths that begin with ``../`` (CEP 42)."""

    base: str | None = None
    """The channel that comes before this one."""
    overrides: str | None = None
    """The channel that comes after this one."""


class Notice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message to the users of the channel (CEP 6)."""

    id: str
    message: str
    level: Literal["info", "warning", "critical"] = "info"
    created_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    interval: Annotated[int, msgspec.Meta(ge=0, le=_INTERVAL_MAX)] | None = None
    """A key of rattler: how long clients wait before they show the notice again."""


class ChannelConfig(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """All settings of one channel, defaults included."""

    write_zst: bool = True
    write_shards: bool = True
    repodata_revisions: tuple[Revision, ...] = ()
    package_revision_assignment: Literal["from-index-json", "latest"] = "from-index-json"
    base_url: str | None = None
    """Location of the packages, absolute or relative to the subdir (CEP 15)."""
    channel_relations: Relations | None = None
    notices: tuple[Notice, ...] | None = None
    """``None``: sluice does not write ``notices.json``."""

    run_exports: bool = False
    """Whether sluice publishes ``run_exports.json`` and its zstd variant (CEP 12)."""
    channeldata: bool = False
    rss: bool = False
    page: bool = False
    """Whether sluice publishes an ``index.html`` for people."""
    current_repodata: bool = False
    repodata_bz2: bool = False
    patches: str | None = None
    """The exact name of the package that may patch the channel's metadata."""
    retention_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] | None = None
    """How long superseded files are kept.  ``None``: as long as the stack's setting says."""
    timestamps: Literal["warn", "reject"] = "warn"
    """What happens to packages that were built after they were indexed (CEP 47)."""
    package_revisions: Literal["all", "legacy"] = "all"
    """``legacy``: packages that need revision 3 of repodata are rejected, and no other is assigned
    to it, for clients that cannot read an index that mentions it (CEP 48)."""
    virtual_package_detectors: dict[str, tuple[str, ...]] | None = None
    """Packages that detect virtual packages, and which (draft: conda/ceps#192)."""

    @property
    def relations(self) -> dict[str, str]:
        """``channel_relations`` in the form of ``info``; empty if there are none."""
        relations = self.channel_relations or Relations()
        by_name = {"base": relations.base, "overrides": relations.overrides}
        return {name: reference for name, reference in by_name.items() if reference is not None}


DEFAULT_CONFIG = ChannelConfig()
"""The defaults of sluice itself; a stack may have others."""

_RATTLER_KEYS = frozenset(
    {
        "base-url",
        "channel-relations",
        "notices",
        "package-revision-assignment",
        "repodata-revisions",
        "virtual-package-detectors",
        "write-shards",
        "write-zst",
    }
)
_KEYS = frozenset(field.encode_name for field in msgspec.structs.fields(ChannelConfig))
_KEYS_SINCE_0_2 = frozenset({"package-revisions", "virtual-package-detectors"})
"""Keys that the release before refuses to read, and that are stored only where they say anything:
so it reads every other configuration, and those have the fingerprints that they had."""
_NOTICE_KEYS = frozenset(field.encode_name for field in msgspec.structs.fields(Notice))


def parse_channel_config(body: bytes, *, defaults: ChannelConfig) -> ChannelConfig:
    """Parse a ``sluice.toml``.  Raises ``BadConfig`` with the key and the problem.

    What ``config_warnings`` warns of has no effect.
    """
    settings = config_to_dict(defaults)
    for table, values in _tables(body):
        known_keys = _RATTLER_KEYS if table == _INDEX_CONFIG else _KEYS - _RATTLER_KEYS
        for key, value in values.items():
            if key not in known_keys and _may_be_of_tomorrow(table, key):
                continue
            if key not in known_keys:
                raise _invalid(
                    f"[{table}] has no key {key!r}; its keys are {', '.join(sorted(known_keys))}"
                )
            settings[key] = _known_parts(key, value)
    try:
        config = msgspec.convert(settings, ChannelConfig)
    except msgspec.ValidationError as error:
        raise _invalid(_plain_sentence(str(error))) from error
    for problem in _problems(config):
        raise _invalid(problem)
    return config


def config_warnings(body: bytes) -> list[str]:
    """Sentences about keys of ``[index-config]`` that nobody knows yet, and that have no effect.

    ``body`` is one that ``parse_channel_config`` accepts.
    """
    warnings: list[str] = []
    for table, values in _tables(body):
        unknown = values.keys() - _KEYS if table == _INDEX_CONFIG else ()
        warnings += [
            f"{SLUICE_TOML}: the key {key!r} of [{table}] has no effect, because this version of "
            "sluice does not know it."
            for key in sorted(unknown)
        ]
        for notice in _notices(values.get("notices")):
            warnings += [
                f"{SLUICE_TOML}: the key {key!r} of a notice has no effect, because this version "
                "of sluice does not know it."
                for key in sorted(notice.keys() - _NOTICE_KEYS)
            ]
    return [printable(warning) for warning in dict.fromkeys(warnings)][:CONFIG_WARNINGS_MAX]


def config_to_dict(config: ChannelConfig) -> dict[str, Any]:
    """Convert to plain values, for storage."""
    # Through JSON: a config that was read back has lists, not tuples, and is compared with this.
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(config))
    for key in _KEYS_SINCE_0_2:
        if getattr(config, key.replace("-", "_")) == getattr(DEFAULT_CONFIG, key.replace("-", "_")):
            del plain[key]
    return plain


def config_fingerprint(config: ChannelConfig) -> str:
    """A short hash that differs where settings differ."""
    return sha256(msgspec.json.encode(config_to_dict(config))).hexdigest()[:_FINGERPRINT_CHARS]


def config_from_dict(plain: Mapping[str, Any]) -> ChannelConfig:
    """Parse the result of ``config_to_dict``; raises ``Corrupt``."""
    try:
        return msgspec.convert(plain, ChannelConfig)
    except msgspec.ValidationError as error:
        raise Corrupt(f"not a configuration that sluice stored: {error}") from error


def _tables(body: bytes) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if len(body) > CONFIG_BYTES_MAX:
        raise _invalid(f"it is larger than {CONFIG_BYTES_MAX} bytes")
    if any(line.count(b".") > CONFIG_DOTS_MAX for line in body.splitlines()):
        raise _invalid(f"a line has more than {CONFIG_DOTS_MAX} dots")
    try:
        # Editors on Windows write a byte order mark.
        document = tomllib.loads(body.decode("utf-8-sig"))
    # A plain ValueError, too: int() raises one for thousands of digits.
    except (ValueError, RecursionError) as error:
        raise _invalid(f"it is not valid TOML: {error}") from error
    for table, values in document.items():
        if table not in (_INDEX_CONFIG, _SLUICE):
            raise _invalid(
                f"unknown top-level key {table!r}; the tables are [{_INDEX_CONFIG}] and [{_SLUICE}]"
            )
        if not isinstance(values, dict):
            raise _invalid(f"{table!r} must be a table")
        yield table, values


def _may_be_of_tomorrow(table: str, key: str) -> bool:
    """Whether a key may be one that a newer rattler-index has.

    It is not if it is a misspelt one of today, one of the other table, or the name of a channel:
    rattler-index has a table for each, and this file is about one.
    """
    is_misspelt = key.replace("_", "-").lower() in _KEYS
    return table == _INDEX_CONFIG and not is_misspelt and "/" not in key


def _known_parts(key: str, value: Any) -> Any:
    if key == "notices":  # of which rattler-index passes over keys that it does not know
        return (
            value
            if not _notices(value)
            else [
                {part: one for part, one in notice.items() if part in _NOTICE_KEYS}
                for notice in _notices(value)
            ]
        )
    return _normalized_revisions(value) if key == "repodata-revisions" else value


def _notices(value: Any) -> list[dict[str, Any]]:
    """The notices, if they are a list of tables."""
    is_list = isinstance(value, list) and all(isinstance(notice, dict) for notice in value)
    return value if is_list else []


def _normalized_revisions(revisions: Any) -> Any:
    """Convert rattler-index's revisions, which are only names."""
    if not isinstance(revisions, list):
        return revisions
    return [
        {"revision": revision} if isinstance(revision, str) else revision for revision in revisions
    ]


_PLACE = re.compile(r"(?P<problem>.*) - at `\$\.(?P<key>.*)`")
_TYPES = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number with a fraction",
    "str": "a string",
    "array": "an array",
    "object": "a table",
    "datetime": "a date with a time",
    "date": "a date without a time",
    "time": "a time without a date",
}
"""TOML's types in words, by msgspec's names."""
_BOUNDS = {">=": "at least", "<=": "at most"}
_CHOICES = {
    "timestamps": '"warn" or "reject"',
    "package-revision-assignment": '"from-index-json" or "latest"',
    "revision": '"v3"',
    "level": '"info", "warning" or "critical"',
}
"""What may be chosen, by the last part of the key."""


def _wrong_type(key: str, match: re.Match[str]) -> str | None:
    wanted, got = _TYPES.get(match[1].removesuffix(" | null")), _TYPES.get(match[2])
    return f"{key} must be {wanted}, not {got}" if wanted and got else None


def _wrong_choice(key: str, match: re.Match[str]) -> str | None:
    choices = _CHOICES.get(key.rpartition(".")[2])
    return f"{key} must be {choices}, not {match[1]}" if choices else None


_EXAMPLE_TIME = "for example 2026-11-27T14:00:00Z"
_SENTENCES: Sequence[tuple[str, Callable[[str, re.Match[str]], str | None]]] = (
    (r"Expected `(.*)`, got `(.*)`", _wrong_type),
    (r"Invalid enum value (.*)", _wrong_choice),
    (
        r"Expected `int` ([<>]=) (-?\d+)",
        lambda key, match: f"{key} must be {_BOUNDS[match[1]]} {match[2]}",
    ),
    (
        r"Object contains unknown field `(.*)`",
        lambda key, match: f"{key} has no key {match[1]!r}",
    ),
    (
        r"Object missing required field `(.*)`",
        lambda key, match: f"{key} must have the key {match[1]!r}",
    ),
    (
        r"Invalid RFC3339 .*",
        lambda key, _: f"{key} must be a date with a time and a time zone, {_EXAMPLE_TIME}",
    ),
    (
        r"Expected `datetime` with a timezone component",
        lambda key, _: f"{key} must have a time zone, {_EXAMPLE_TIME}",
    ),
)
"""By msgspec's messages: the same in TOML's words.  ``None``: its own message."""


def _plain_sentence(message: str) -> str:
    """Say in TOML's words what msgspec found; its own message if that is of an unknown form."""
    place = _PLACE.fullmatch(message)
    if place is None:
        return message
    for pattern, sentence in _SENTENCES:
        if match := re.fullmatch(pattern, place["problem"]):
            return sentence(place["key"], match) or message
    return message


def _problems(config: ChannelConfig) -> Iterator[str]:
    """Problems that the types cannot express."""
    yield from _revision_problems(config.repodata_revisions)
    yield from _relation_problems(config.relations)
    yield from _detector_problems(config.virtual_package_detectors or {})
    if config.base_url == "":
        yield "base-url is empty; omit it if the packages are beside the index"
    if config.patches is not None and not is_package_name(config.patches):
        yield f"patches must be the name of a package, not {config.patches!r}"


def _revision_problems(revisions: Sequence[Revision]) -> Iterator[str]:
    if len(revisions) > 1:
        yield "repodata-revisions names v3 more than once"
    for revision in revisions:
        if len((revision.message or "").encode()) > REVISION_MESSAGE_BYTES_MAX:
            yield f"the message of a revision is longer than {REVISION_MESSAGE_BYTES_MAX} bytes"


def _relation_problems(relations: Mapping[str, str]) -> Iterator[str]:
    for name, reference in relations.items():
        if not reference.startswith("../"):
            yield f"channel-relations.{name} must be a path that begins with ../ (CEP 42)"
    if len(relations) > len({reference.rstrip("/") for reference in relations.values()}):
        yield "channel-relations.base and .overrides are the same channel (CEP 42)"


def _detector_problems(detectors: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Problems for which a client would ignore all detectors of the channel."""
    owners: dict[str, str] = {}
    if len(detectors) > DETECTORS_MAX:
        yield f"virtual-package-detectors names more than {DETECTORS_MAX} packages"
    for package, names in detectors.items():
        if not is_package_name(package.lower()) or package.startswith("__"):
            yield f"virtual-package-detectors: {package!r} is not the name of a package"
        if not 1 <= len(names) <= DETECTED_PACKAGES_MAX:
            yield (
                f"virtual-package-detectors.{package} names {len(names)} virtual packages instead "
                f"of 1 to {DETECTED_PACKAGES_MAX}"
            )
        for name in names:
            if not name.startswith("__"):
                yield (
                    f"virtual-package-detectors.{package}: {name!r} is not the name of a virtual "
                    "package"
                )
            if name.lower() in owners:
                yield f"virtual-package-detectors names {name} more than once"
            owners[name.lower()] = package


def _invalid(reason: str) -> BadConfig:
    return BadConfig(
        "config-invalid",
        f"{SLUICE_TOML} is invalid: {reason}. The last valid version stays active.",
    )
