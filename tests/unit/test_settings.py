"""What the functions are told by their environment."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from sluice.channel_config import ChannelConfig
from sluice.errors import Misconfigured
from sluice.settings import ExtractSettings, MergeSettings, ReconcileSettings, Settings

COMMON = {
    "CHANNEL_BUCKET": "channel",
    "STATE_BUCKET": "state",
    "MERGE_QUEUE_URL": "https://sqs/merge.fifo",
    "DEBOUNCE_SECONDS": "10",
}
EXTRACT = {
    **COMMON,
    "UPLOAD_QUEUE_URL": "https://sqs/upload",
    "SLOW_UPLOAD_QUEUE_URL": "https://sqs/slow-upload",
    "TRUST_UPLOADER_DIGESTS": "true",
    "UPLOAD_MAX_RECEIVES": "5",
}
OUTPUTS = ("channeldata", "current-repodata", "page", "repodata-bz2", "rss", "run-exports")
DEFAULTS = {"DEFAULT_OUTPUTS": "run-exports,rss", "DEFAULT_TIMESTAMPS": "reject"}
MERGE = {
    **COMMON,
    "OWNER": "state",
    "INDEX_CACHE_MAX_AGE": "0",
    "BRAKE_DAYS": "0",
    **DEFAULTS,
}
RECONCILE = {
    **COMMON,
    "UPLOAD_QUEUE_URL": "https://sqs/upload",
    "RECONCILE_QUEUE_URL": "https://sqs/reconcile.fifo",
    "OWNER": "state",
    "RETENTION_DAYS": "7",
    "BRAKE_DAYS": "3",
    "TRUST_UPLOADER_DIGESTS": "true",
    **DEFAULTS,
}
AnySettings = ExtractSettings | MergeSettings | ReconcileSettings
STRICT = ChannelConfig(run_exports=True, rss=True, timestamps="reject")
SETTINGS = Settings("channel", "state", "https://sqs/merge.fifo", 10)


def test_each_function_reads_its_variables() -> None:
    assert ExtractSettings.from_env(EXTRACT) == ExtractSettings(
        SETTINGS,
        upload_queue_url="https://sqs/upload",
        slow_upload_queue_url="https://sqs/slow-upload",
        trust_uploader_digests=True,
        upload_receives_max=5,
        channel_prefixes=("",),
    )
    assert MergeSettings.from_env(MERGE) == MergeSettings(
        SETTINGS, owner="state", index_max_age_seconds=0, channel_defaults=STRICT, brake_days=0
    )
    assert ReconcileSettings.from_env(RECONCILE) == ReconcileSettings(
        SETTINGS,
        upload_queue_url="https://sqs/upload",
        reconcile_queue_url="https://sqs/reconcile.fifo",
        owner="state",
        retention_days=7,
        brake_days=3,
        channel_defaults=STRICT,
        channel_prefixes=("",),
        trust_uploader_digests=True,
    )


@pytest.mark.parametrize(
    ("text", "prefixes"),
    [
        ("", ("",)),
        ("team/", ("team/",)),
        ("team/, Conda/Default/,", ("team/", "Conda/Default/")),
    ],
)
def test_prefixes_are_separated_by_commas_and_none_stands_for_all(
    text: str, prefixes: tuple[str, ...]
) -> None:
    extract = ExtractSettings.from_env({**EXTRACT, "CHANNEL_PREFIXES": text})
    reconcile = ReconcileSettings.from_env({**RECONCILE, "CHANNEL_PREFIXES": text})
    assert extract.channel_prefixes == reconcile.channel_prefixes == prefixes


def test_a_prefix_that_no_key_can_have_is_refused() -> None:
    with pytest.raises(Misconfigured, match="must not begin with a slash"):
        ExtractSettings.from_env({**EXTRACT, "CHANNEL_PREFIXES": "a/,/b"})


def test_trust_in_uploaders_can_be_withdrawn() -> None:
    distrusts = {"TRUST_UPLOADER_DIGESTS": "false"}
    assert ExtractSettings.from_env(EXTRACT | distrusts).trust_uploader_digests is False
    assert ReconcileSettings.from_env(RECONCILE | distrusts).trust_uploader_digests is False


def test_channels_may_have_nothing_but_repodata_and_shards_by_default() -> None:
    env = {**MERGE, "DEFAULT_OUTPUTS": "none", "DEFAULT_TIMESTAMPS": "warn"}
    assert MergeSettings.from_env(env).channel_defaults == ChannelConfig()


@pytest.mark.parametrize(
    ("settings", "env"),
    [(ExtractSettings, EXTRACT), (MergeSettings, MERGE), (ReconcileSettings, RECONCILE)],
    ids=["E", "M", "R"],
)
def test_a_missing_or_empty_variable_is_named(
    settings: type[AnySettings], env: Mapping[str, str]
) -> None:
    for name in env:
        without = {other: value for other, value in env.items() if other != name}
        for broken in (without, {**env, name: ""}):
            with pytest.raises(Misconfigured, match=f"^the environment variable {name} is not set"):
                settings.from_env(broken)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DEBOUNCE_SECONDS", "2", "a whole number of 3 or more, not '2'"),
        ("DEBOUNCE_SECONDS", "ten", "a whole number of 3 or more, not 'ten'"),
        ("DEBOUNCE_SECONDS", "10.5", "a whole number of 3 or more, not '10.5'"),
        ("DEBOUNCE_SECONDS", "-10", "a whole number of 3 or more, not '-10'"),
        ("UPLOAD_MAX_RECEIVES", "0", "a whole number of 1 or more, not '0'"),
        ("TRUST_UPLOADER_DIGESTS", "True", "true or false, not 'True'"),
        ("TRUST_UPLOADER_DIGESTS", "1", "true or false, not '1'"),
        ("INDEX_CACHE_MAX_AGE", "-1", "a whole number of 0 or more, not '-1'"),
        ("RETENTION_DAYS", "0", "a whole number of 1 or more, not '0'"),
        ("BRAKE_DAYS", "-1", "a whole number of 0 or more, not '-1'"),
        (
            "DEFAULT_OUTPUTS",
            "rss,patches",
            f"none or a list of {', '.join(OUTPUTS)}, not 'rss,patches'",
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_quoted_with_what_it_must_be(
    name: str, value: str, sentence: str
) -> None:
    everything = {**EXTRACT, **MERGE, **RECONCILE}
    owners: list[tuple[type[AnySettings], Mapping[str, str]]] = [
        (ExtractSettings, EXTRACT),
        (MergeSettings, MERGE),
        (ReconcileSettings, RECONCILE),
    ]
    settings = next(settings for settings, env in owners if name in env)
    with pytest.raises(Misconfigured) as raised:
        settings.from_env({**everything, name: value})
    assert str(raised.value) == f"{name} must be {sentence}"
