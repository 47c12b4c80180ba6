"""The settings of the Lambda functions, from environment variables; nothing else reads these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from sluice.channel_config import ChannelConfig
from sluice.errors import Misconfigured
from sluice.messages.merge_request import DEBOUNCE_SECONDS_MIN

_OUTPUTS = frozenset(
    {"channeldata", "current-repodata", "page", "repodata-bz2", "rss", "run-exports"}
)
"""Optional files of a channel, by their names in ``sluice.toml``."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of every function."""

    channel_bucket: str
    state_bucket: str
    merge_queue_url: str
    debounce_seconds: int

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Parse ``CHANNEL_BUCKET``, ``STATE_BUCKET``, ``MERGE_QUEUE_URL``, ``DEBOUNCE_SECONDS``.

        Raises ``Misconfigured``, which names the variable.
        """
        return cls(
            channel_bucket=_required(env, "CHANNEL_BUCKET"),
            state_bucket=_required(env, "STATE_BUCKET"),
            merge_queue_url=_required(env, "MERGE_QUEUE_URL"),
            debounce_seconds=_int(env, "DEBOUNCE_SECONDS", at_least=DEBOUNCE_SECONDS_MIN),
        )


@dataclass(frozen=True, slots=True)
class ExtractSettings:
    """The settings of extract."""

    common: Settings
    upload_queue_url: str
    slow_upload_queue_url: str
    trust_uploader_digests: bool
    upload_receives_max: int
    """Receives of a message before either queue of uploads moves it to its dead-letter queue."""
    channel_prefixes: tuple[str, ...]
    """See ``ReconcileSettings``."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> ExtractSettings:
        """Parse also ``UPLOAD_QUEUE_URL``, ``SLOW_UPLOAD_QUEUE_URL`` and ``UPLOAD_MAX_RECEIVES``.

        ``TRUST_UPLOADER_DIGESTS`` is ``true`` or ``false``; ``CHANNEL_PREFIXES`` may be empty or
        missing.
        """
        return cls(
            common=Settings.from_env(env),
            upload_queue_url=_required(env, "UPLOAD_QUEUE_URL"),
            slow_upload_queue_url=_required(env, "SLOW_UPLOAD_QUEUE_URL"),
            trust_uploader_digests=_flag(env, "TRUST_UPLOADER_DIGESTS"),
            upload_receives_max=_int(env, "UPLOAD_MAX_RECEIVES", at_least=1),
            channel_prefixes=_prefixes(env),
        )


@dataclass(frozen=True, slots=True)
class MergeSettings:
    """The settings of merge."""

    common: Settings
    owner: str
    """The publisher: the state bucket's name, written into the metadata of every index file."""
    index_max_age_seconds: int
    channel_defaults: ChannelConfig
    """Defaults for what a channel's ``sluice.toml`` does not set."""
    brake_days: int
    """Days that the removal of most of an index waits (``brake``); 0: no wait."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> MergeSettings:
        """Parse also ``OWNER``, ``INDEX_CACHE_MAX_AGE``, ``BRAKE_DAYS``, and the channel defaults.

        Those are ``DEFAULT_OUTPUTS``, which may be ``none``, and ``DEFAULT_TIMESTAMPS``.
        """
        return cls(
            common=Settings.from_env(env),
            owner=_required(env, "OWNER"),
            index_max_age_seconds=_int(env, "INDEX_CACHE_MAX_AGE", at_least=0),
            channel_defaults=channel_defaults(env),
            brake_days=_brake_days(env),
        )


@dataclass(frozen=True, slots=True)
class ReconcileSettings:
    """The settings of reconcile."""

    common: Settings
    upload_queue_url: str
    reconcile_queue_url: str
    owner: str
    """See ``MergeSettings``."""
    retention_days: int
    """Days that a generation stays readable after its successor was published."""
    brake_days: int
    """See ``MergeSettings``."""
    channel_defaults: ChannelConfig
    """See ``MergeSettings``."""
    channel_prefixes: tuple[str, ...]
    """Key prefixes of the subdirs to check; ``("",)``: all."""
    trust_uploader_digests: bool
    """See ``ExtractSettings``; a sample of what is trusted is checked."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> ReconcileSettings:
        """Parse also ``UPLOAD_QUEUE_URL``, ``RECONCILE_QUEUE_URL``, ``OWNER``, ``RETENTION_DAYS``.

        ``TRUST_UPLOADER_DIGESTS`` is that of extract.  ``BRAKE_DAYS`` and the channels' defaults
        are those of merge.  ``CHANNEL_PREFIXES`` may be
        empty or missing.
        """
        return cls(
            common=Settings.from_env(env),
            upload_queue_url=_required(env, "UPLOAD_QUEUE_URL"),
            reconcile_queue_url=_required(env, "RECONCILE_QUEUE_URL"),
            owner=_required(env, "OWNER"),
            retention_days=_int(env, "RETENTION_DAYS", at_least=1),
            brake_days=_brake_days(env),
            channel_defaults=channel_defaults(env),
            channel_prefixes=_prefixes(env),
            trust_uploader_digests=_flag(env, "TRUST_UPLOADER_DIGESTS"),
        )


def channel_defaults(env: Mapping[str, str]) -> ChannelConfig:
    """Parse ``DEFAULT_OUTPUTS`` and ``DEFAULT_TIMESTAMPS``; raises ``Misconfigured``."""
    text = _required(env, "DEFAULT_OUTPUTS")
    outputs = [] if text == "none" else text.split(",")
    if not _OUTPUTS.issuperset(outputs):
        allowed = ", ".join(sorted(_OUTPUTS))
        raise Misconfigured(f"DEFAULT_OUTPUTS must be none or a list of {allowed}, not {text!r}")
    warn = _choice(env, "DEFAULT_TIMESTAMPS", "warn", "reject")
    return msgspec.convert(
        {**dict.fromkeys(outputs, True), "timestamps": "warn" if warn else "reject"}, ChannelConfig
    )


def _choice(env: Mapping[str, str], name: str, yes: str, no: str) -> bool:
    text = _required(env, name)
    if text not in (yes, no):
        raise Misconfigured(f"{name} must be {yes} or {no}, not {text!r}")
    return text == yes


def _prefixes(env: Mapping[str, str]) -> tuple[str, ...]:
    prefixes = tuple(prefix.strip() for prefix in env.get("CHANNEL_PREFIXES", "").split(","))
    if any(prefix.startswith("/") for prefix in prefixes):
        raise Misconfigured(f"CHANNEL_PREFIXES must not begin with a slash: {','.join(prefixes)}")
    return tuple(prefix for prefix in prefixes if prefix) or ("",)


def _brake_days(env: Mapping[str, str]) -> int:
    return _int(env, "BRAKE_DAYS", at_least=0)


def _required(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "")
    if not value:
        raise Misconfigured(f"the environment variable {name} is not set")
    return value


def _int(env: Mapping[str, str], name: str, *, at_least: int) -> int:
    text = _required(env, name)
    if not text.isdecimal() or int(text) < at_least:
        raise Misconfigured(f"{name} must be a whole number of {at_least} or more, not {text!r}")
    return int(text)


def _flag(env: Mapping[str, str], name: str) -> bool:
    return _choice(env, name, "true", "false")
