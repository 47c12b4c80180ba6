"""``sluice.toml``: what it can say, what it says when it is silent, and what is refused and how."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluice.channel_config import (
    DEFAULT_CONFIG,
    ChannelConfig,
    Notice,
    Relations,
    Revision,
    config_fingerprint,
    config_from_dict,
    config_to_dict,
    config_warnings,
    parse_channel_config,
)
from sluice.errors import BadConfig, Corrupt
from sluice.limits import CONFIG_BYTES_MAX, CONFIG_DOTS_MAX, REVISION_MESSAGE_BYTES_MAX

EVERYTHING = """
[index-config]
write-zst = false
write-shards = false
repodata-revisions = [{ revision = "v3", message = "extras, flags and conditions" }]
package-revision-assignment = "latest"
base-url = "../packages/"

[index-config.channel-relations]
base = "../conda-forge"
overrides = "../.."

[index-config.virtual-package-detectors]
mpi-detect = ["__ch_openmpi"]

[[index-config.notices]]
id = "security-1"
message = "Please update demo"
level = "critical"
created_at = 2026-01-01T12:00:00Z
expires_at = "2026-02-01T12:00:00+01:00"
interval = 24

[sluice]
run-exports = true
channeldata = true
current-repodata = true
rss = true
page = true
repodata-bz2 = true
patches = "demo-repodata-patches"
retention-days = 30
timestamps = "reject"
package-revisions = "legacy"
"""

ALL_SET = ChannelConfig(
    write_zst=False,
    write_shards=False,
    repodata_revisions=(Revision(revision="v3", message="extras, flags and conditions"),),
    package_revision_assignment="latest",
    base_url="../packages/",
    channel_relations=Relations(base="../conda-forge", overrides="../.."),
    notices=(
        Notice(
            id="security-1",
            message="Please update demo",
            level="critical",
            created_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
            expires_at=datetime(2026, 2, 1, 11, tzinfo=UTC),
            interval=24,
        ),
    ),
    run_exports=True,
    channeldata=True,
    current_repodata=True,
    rss=True,
    page=True,
    repodata_bz2=True,
    patches="demo-repodata-patches",
    retention_days=30,
    timestamps="reject",
    package_revisions="legacy",
    virtual_package_detectors={"mpi-detect": ("__ch_openmpi",)},
)


def parsed(text: str, defaults: ChannelConfig = DEFAULT_CONFIG) -> ChannelConfig:
    return parse_channel_config(text.encode(), defaults=defaults)


def refusal(body: str | bytes) -> str:
    """Why a file is refused."""
    with pytest.raises(BadConfig) as caught:
        parse_channel_config(
            body if isinstance(body, bytes) else body.encode(), defaults=DEFAULT_CONFIG
        )
    assert caught.value.code == "config-invalid"
    return caught.value.sentence


def test_every_key_is_read() -> None:
    assert parsed(EVERYTHING) == ALL_SET


def test_a_file_that_is_silent_leaves_everything_as_the_stack_has_it() -> None:
    stack = ChannelConfig(run_exports=True, timestamps="reject")
    for silent in ("", "# nothing\n", "[index-config]\n", "[sluice]\n", "\ufeff[sluice]\n"):
        assert parsed(silent, stack) == stack


def test_what_a_file_says_goes_before_what_the_stack_says_and_nothing_else_changes() -> None:
    stack = ChannelConfig(run_exports=True, timestamps="reject")
    assert parsed("[sluice]\nrun-exports = false\n", stack) == ChannelConfig(timestamps="reject")


def test_nothing_but_zst_and_shards_is_written_by_default() -> None:
    switches = {
        key: value
        for key, value in config_to_dict(DEFAULT_CONFIG).items()
        if isinstance(value, bool)
    }
    on = {key for key, value in switches.items() if value}
    assert (on, len(switches)) == ({"write-zst", "write-shards"}, 8)


def test_the_table_of_rattlers_own_tests_can_be_dropped_in() -> None:
    table = """
[index-config]
write-zst = true
write-shards = false
repodata-revisions = ["v3"]
package-revision-assignment = "latest"
base-url = "../packages/"

[index-config.channel-relations]
base = "../conda-forge"

[[index-config.notices]]
id = "security-1"
message = "Please update demo"
level = "critical"
created_at = "2025-01-01T12:00:00Z"
expires_at = "2025-02-01T12:00:00Z"
interval = 24
"""
    assert parsed(table) == ChannelConfig(
        write_shards=False,
        repodata_revisions=(Revision(revision="v3"),),
        package_revision_assignment="latest",
        base_url="../packages/",
        channel_relations=Relations(base="../conda-forge"),
        notices=(
            Notice(
                id="security-1",
                message="Please update demo",
                level="critical",
                created_at=datetime(2025, 1, 1, 12, tzinfo=UTC),
                expires_at=datetime(2025, 2, 1, 12, tzinfo=UTC),
                interval=24,
            ),
        ),
    )


def test_no_notices_is_something_else_than_not_a_word_about_them() -> None:
    assert parsed("").notices is None
    assert parsed("[index-config]\nnotices = []\n").notices == ()


def test_relations_are_told_as_far_as_there_are_any() -> None:
    def relations(text: str) -> dict[str, str]:
        return parsed(f"[index-config]\nchannel-relations = {text}\n").relations

    assert parsed("").relations == {}
    assert relations("{}") == {}
    assert relations('{ overrides = "../a" }') == {"overrides": "../a"}
    assert relations('{ base = "../a", overrides = "../b" }') == {
        "base": "../a",
        "overrides": "../b",
    }


INDEX, OURS = "[index-config]\n", "[sluice]\n"
NOTICE = '[[index-config.notices]]\nid = "n"\nmessage = "m"\n'


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (f'{INDEX}write-zst = "yes"', "write-zst"),
        (f"{INDEX}write_zst = true", "'write_zst'"),
        (f"{INDEX}run-exports = true", "[index-config] has no key 'run-exports'"),
        (f"{OURS}write-zst = true", "[sluice] has no key 'write-zst'"),
        (f"{OURS}run_exports = true", "'run_exports'"),
        (f"{OURS}run-exports = 1", "run-exports"),
        (f"{OURS}retention-days = 0", "retention-days"),
        (f"{OURS}retention-days = 3651", "retention-days"),
        (f"{OURS}retention-days = 7.0", "retention-days"),
        (f"{OURS}retention-days = {'9' * 5000}", "digits"),
        (f'{OURS}timestamps = "ignore"', "timestamps"),
        (f'{OURS}patches = "Not A Name"', "patches"),
        (f'{OURS}patches = ""', "patches"),
        (f'{INDEX}base-url = ""', "base-url"),
        (f'{INDEX}repodata-revisions = "v3"', "repodata-revisions"),
        (f'{INDEX}repodata-revisions = ["v4"]', "repodata-revisions[0]"),
        (f'{INDEX}repodata-revisions = ["legacy"]', "repodata-revisions[0]"),
        (f'{INDEX}repodata-revisions = ["v3", "v3"]', "repodata-revisions names v3 more than once"),
        (f'{INDEX}package-revision-assignment = "oldest"', "package-revision-assignment"),
        (f'{INDEX}channel-relations.base = "https://host/a"', "channel-relations.base"),
        (f'{INDEX}channel-relations.overrides = ".."', "channel-relations.overrides"),
        (f'{INDEX}channel-relations.over = "../a"', "channel-relations has no key 'over'"),
        (f'{INDEX}channel-relations = {{ base = "../a", overrides = "../a/" }}', "same channel"),
        (f"{INDEX}notices = {{}}", "notices"),
        (f"{INDEX}notices.{'a.' * 250}a = 1", "notices"),
        ('[[index-config.notices]]\nid = "n"', "notices[0]"),
        (f'{NOTICE}level = "urgent"', "notices[0].level"),
        (f"{NOTICE}interval = -1", "notices[0].interval"),
        (f"{NOTICE}interval = {2**64}", "notices[0].interval"),
        (f"{NOTICE}created_at = 2026-01-01", "notices[0].created_at"),
        (f"{NOTICE}created_at = 2026-01-01T00:00:00", "notices[0].created_at"),
        (f'{NOTICE}expires_at = "tomorrow"', "notices[0].expires_at"),
        ('[index-config."s3://bucket/channel"]\nwrite-zst = true', "'s3://bucket/channel'"),
        ("[index_config]\nwrite-zst = true", "'index_config'"),
        ("write-zst = true", "'write-zst'"),
        ("sluice = 1", "'sluice' must be a table"),
        ("[sluice", "not valid TOML"),
        (f"{OURS}patches = {'[' * 20_000}", "not valid TOML"),
    ],
    ids=lambda text: text[:60],
)
def test_what_cannot_be_used_is_refused_with_a_sentence_that_names_it(
    text: str, named: str
) -> None:
    sentence = refusal(text)
    assert named in sentence
    assert sentence.startswith("sluice.toml is invalid: ")
    assert sentence.endswith("The last valid version stays active.")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f'{OURS}page = "yes"', "page must be true or false, not a string"),
        (f"{INDEX}write-zst = 1", "write-zst must be true or false, not a whole number"),
        (f"{OURS}retention-days = 7.5", "retention-days must be a whole number, not a number "),
        (f"{OURS}retention-days = 0", "retention-days must be at least 1"),
        (f"{OURS}retention-days = 4000", "retention-days must be at most 3650"),
        (f"{INDEX}base-url = 2026-01-01", "base-url must be a string, not a date without"),
        (f'{OURS}timestamps = "x"', 'timestamps must be "warn" or "reject", not \'x\''),
        (f'{INDEX}repodata-revisions = ["v4"]', 'repodata-revisions[0].revision must be "v3"'),
        (f"{INDEX}repodata-revisions = [3]", "repodata-revisions[0] must be a table, not a"),
        (f"{INDEX}notices = 3", "notices must be an array, not a whole number"),
        ('[[index-config.notices]]\nid = "n"', "notices[0] must have the key 'message'"),
        (f'{NOTICE}level = "z"', 'notices[0].level must be "info", "warning" or "critical"'),
        (f'{NOTICE}created_at = "x"', "notices[0].created_at must be a date with a time and"),
        (f"{NOTICE}created_at = 2026-01-01T00:00:00", "created_at must have a time zone"),
    ],
)
def test_what_is_wrong_with_a_value_is_said_in_words_of_toml(text: str, reason: str) -> None:
    sentence = refusal(text)
    assert reason in sentence
    assert "`" not in sentence
    assert "$" not in sentence


def test_a_message_about_a_revision_may_be_as_long_as_cep_48_has_it() -> None:
    def about(message: str) -> str:
        return f'{INDEX}repodata-revisions = [{{ revision = "v3", message = "{message}" }}]\n'

    longest = "é" * (REVISION_MESSAGE_BYTES_MAX // 2)
    assert parsed(about(longest)).repodata_revisions == (Revision(revision="v3", message=longest),)
    assert "message" in refusal(about(f"{longest}e"))


def test_a_file_may_be_as_large_as_its_limit_and_must_be_utf_8() -> None:
    assert parsed("#" * CONFIG_BYTES_MAX) == DEFAULT_CONFIG
    assert str(CONFIG_BYTES_MAX) in refusal("#" * (CONFIG_BYTES_MAX + 1))
    assert "not valid TOML" in refusal(b"# \xff\n")


def test_a_key_of_so_many_parts_that_reading_it_would_take_gigabytes_is_not_read() -> None:
    assert "dots" in refusal(f"[{'a.' * 30_000}a]\n")
    assert parsed(f"# {'.' * CONFIG_DOTS_MAX}\n" * 100) == DEFAULT_CONFIG
    assert "dots" in refusal(f"\n# {'.' * (CONFIG_DOTS_MAX + 1)}\n")


@pytest.mark.parametrize("config", [DEFAULT_CONFIG, ALL_SET])
def test_what_is_kept_is_plain_json_and_gives_the_same_configuration(config: ChannelConfig) -> None:
    plain = config_to_dict(config)
    assert json.loads(json.dumps(plain)) == plain
    assert config_from_dict(plain) == config


def test_keys_of_a_newer_version_are_not_read_past() -> None:
    """Publishing without what an operator has asked for would be worse than not at all."""
    with pytest.raises(Corrupt):
        config_from_dict({**config_to_dict(DEFAULT_CONFIG), "index-html": True})


def test_settings_that_differ_in_anything_have_another_fingerprint() -> None:
    others = [
        config_from_dict({**config_to_dict(DEFAULT_CONFIG), key: value})
        for key, value in config_to_dict(ALL_SET).items()
    ]
    fingerprints = {config_fingerprint(config) for config in (DEFAULT_CONFIG, *others)}
    assert len(fingerprints) == len(others) + 1
    assert config_fingerprint(config_from_dict(config_to_dict(ALL_SET))) == config_fingerprint(
        ALL_SET
    )


LINES = [line for line in EVERYTHING.splitlines() if line]
VALUES = st.sampled_from(
    ["true", "0", "-1", "1e999", '"v3"', '""', "[]", "{}", "[[]]", "2026-01-01", "nan", "'\ufffd'"]
)
CHANGED = st.builds(
    lambda lines, value: "\n".join(
        f"{key}= {value}" if at == 0 and (key := line.partition("=")[0]) else line
        for at, line in enumerate(lines)
    ),
    st.permutations(LINES),
    VALUES,
)


@given(st.one_of(st.binary(), st.text().map(str.encode), CHANGED.map(str.encode)))
@example(b"[[index-config.notices]]\nid='n'\nmessage='m'\ncreated_at=0001-01-01T00:00:00+23:59")
def test_whatever_is_uploaded_is_a_configuration_or_refused(body: bytes) -> None:
    try:
        config = parse_channel_config(body, defaults=DEFAULT_CONFIG)
    except BadConfig:
        return
    assert config_from_dict(config_to_dict(config)) == config


def test_the_documented_example_and_every_documented_key_can_be_used() -> None:
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    _, _, rest = page.partition("```toml\n")
    example_file, _, _ = rest.partition("```")
    assert parsed(example_file) != DEFAULT_CONFIG
    assert [key for key in config_to_dict(DEFAULT_CONFIG) if f"| `{key}` |" not in page] == []


# --- keys of other releases -----------------------------------------------------------------------

DETECTORS = (
    '[index-config.virtual-package-detectors]\nmpi-detect = ["__ch_openmpi", "__ch_mpich"]\n'
)


def test_detectors_of_virtual_packages_are_read() -> None:
    assert parsed(DETECTORS).virtual_package_detectors == {
        "mpi-detect": ("__ch_openmpi", "__ch_mpich")
    }
    assert parsed("").virtual_package_detectors is None
    assert parsed(f"{INDEX}virtual-package-detectors = {{}}").virtual_package_detectors == {}


@pytest.mark.parametrize(
    "value",
    [
        '["a"]',
        '{ a = "__b" }',
        "{ a = [1] }",
        "{ a = [] }",
        '{ "__a" = ["__b"] }',
        '{ "a b" = ["__b"] }',
        '{ a = ["b"] }',
        '{ a = ["__b", "__B"] }',
        '{ a = ["__b"], c = ["__b"] }',
        f"{{ a = {[f'__n{number}' for number in range(17)]} }}",
        "{" + ", ".join(f'n{number} = ["__n{number}"]' for number in range(65)) + "}",
    ],
)
def test_detectors_that_every_client_would_ignore_are_refused(value: str) -> None:
    assert "virtual-package-detectors" in refusal(f"{INDEX}virtual-package-detectors = {value}\n")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f"{INDEX}sign-repodata = true", "sign-repodata"),
        (f"{INDEX}write-shards-v2 = true", "write-shards-v2"),
        (f"{INDEX}attestations = {{ url = 'x', keys = [1] }}", "attestations"),
        (f"{INDEX}[[index-config.mirrors]]\nurl = 'x'", "mirrors"),
        (f"{NOTICE}title = 'x'", "title"),
    ],
)
def test_a_key_of_tomorrow_is_a_warning_and_changes_nothing(text: str, key: str) -> None:
    (warning,) = config_warnings(text.encode())
    assert f"'{key}'" in warning
    assert warning.startswith("sluice.toml: ")
    known = "\n".join(line for line in text.splitlines() if not line.startswith("title"))
    assert parsed(text) == (parsed(known) if key == "title" else DEFAULT_CONFIG)
    with_more = f"{text}\n[sluice]\npage = true\n"
    assert parsed(with_more).page


def test_a_file_of_known_keys_has_no_warnings() -> None:
    assert config_warnings(EVERYTHING.encode()) == []
    assert config_warnings(DETECTORS.encode()) == []
    assert len(config_warnings((INDEX + "".join(f"k{n} = 1\n" for n in range(99))).encode())) == 20


def test_keys_that_the_release_before_does_not_know_are_stored_only_where_they_say_something() -> (
    None
):
    new = {"package-revisions", "virtual-package-detectors"}
    assert config_to_dict(DEFAULT_CONFIG).keys().isdisjoint(new)
    assert config_to_dict(ALL_SET).keys() >= new
    # As release 0.1 has it.
    assert config_fingerprint(DEFAULT_CONFIG) == "68dfda11d1024ce6"


def test_only_known_revisions_of_packages_can_be_asked_for() -> None:
    assert parsed(f'{OURS}package-revisions = "legacy"').package_revisions == "legacy"
    assert "package-revisions" in refusal(f'{OURS}package-revisions = "v3"')
