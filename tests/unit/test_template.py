"""``template.yaml`` against the code that runs in it, and against what it promises."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice.keys import (
    PACKAGE_SUFFIXES,
    REPODATA,
    REPODATA_ZST,
    SHARD_INDEX,
    PackageKey,
    Subdir,
)
from sluice.settings import ExtractSettings, MergeSettings

ROOT = Path(__file__).parents[2]
DIGEST = "ab" * 32
SUBDIRS = (Subdir("", "noarch"), Subdir("Conda/Default", "linux-64"))
SECONDS_OF_14_DAYS = 14 * 24 * 3600


class CloudFormationLoader(yaml.SafeLoader):
    """Reads ``!GetAtt A.B`` as ``{"GetAtt": "A.B"}``."""


def _intrinsic(loader: CloudFormationLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    match node:
        case yaml.ScalarNode():
            return {suffix: loader.construct_scalar(node)}
        case yaml.SequenceNode():
            return {suffix: loader.construct_sequence(node, deep=True)}
    raise AssertionError(f"!{suffix} of a mapping")


CloudFormationLoader.add_multi_constructor("!", _intrinsic)

TEMPLATE: Mapping[str, Any] = yaml.load(
    (ROOT / "template.yaml").read_text(),
    Loader=CloudFormationLoader,  # noqa: S506  (a SafeLoader)
)
RESOURCES: Mapping[str, Any] = TEMPLATE["Resources"]
GLOBAL_VARIABLES = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]


def properties(name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = RESOURCES[name]["Properties"]
    return found


def of_type(kind: str) -> list[str]:
    return [name for name, resource in RESOURCES.items() if resource["Type"] == kind]


# --- what it offers -----------------------------------------------------------------------


def test_parameters_have_the_documented_defaults() -> None:
    assert {name: one["Default"] for name, one in TEMPLATE["Parameters"].items()} == {
        "ChannelBucketName": "",
        "DebounceSeconds": 10,
        "IndexCacheMaxAge": 60,
        "TrustUploaderDigests": "true",
        "Runtime": "python3.13",
        "Architecture": "arm64",
        "ExtractMemorySize": 1024,
        "MergeMemorySize": 1769,
        "ExtractConcurrency": 50,
        "LogLevel": "INFO",
    }


def test_every_parameter_says_what_it_is_for() -> None:
    assert all(one["Description"].strip() for one in TEMPLATE["Parameters"].values())


def test_the_debounce_can_be_3_to_300_seconds() -> None:
    one = TEMPLATE["Parameters"]["DebounceSeconds"]
    assert (one["MinValue"], one["MaxValue"]) == (3, 300)


def test_outputs_name_all_that_one_works_with() -> None:
    assert {name: one["Value"]["Ref"] for name, one in TEMPLATE["Outputs"].items()} == {
        "ChannelBucketName": "ChannelBucket",
        "StateBucketName": "StateBucket",
        "UploadQueueUrl": "UploadQueue",
        "UploadDlqUrl": "UploadDlq",
        "MergeQueueUrl": "MergeQueue",
        "MergeDlqUrl": "MergeDlq",
        "ExtractFunctionName": "ExtractFunction",
        "MergeFunctionName": "MergeFunction",
    }


# --- what the functions are told ----------------------------------------------------------


class Recorder(dict[str, str]):
    """An environment that remembers what was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def get(self, key: str, _default: Any = None) -> Any:
        self.asked.add(key)
        return {"TRUST_UPLOADER_DIGESTS": "true"}.get(key, "5")


@pytest.mark.parametrize(
    ("function", "settings"),
    [("ExtractFunction", ExtractSettings), ("MergeFunction", MergeSettings)],
)
def test_a_function_is_given_exactly_the_variables_that_it_reads(
    function: str, settings: type[ExtractSettings | MergeSettings]
) -> None:
    environment = Recorder()
    settings.from_env(environment)
    given = {*GLOBAL_VARIABLES, *properties(function)["Environment"]["Variables"]}
    assert {name for name in given if not name.startswith("POWERTOOLS_")} == environment.asked
    assert {name for name in given if name.startswith("POWERTOOLS_")} == {
        "POWERTOOLS_SERVICE_NAME",
        "POWERTOOLS_METRICS_NAMESPACE",
        "POWERTOOLS_LOG_LEVEL",
    }


def test_extract_knows_how_often_its_queue_hands_a_message_out() -> None:
    told = properties("ExtractFunction")["Environment"]["Variables"]["UPLOAD_MAX_RECEIVES"]
    assert int(told) == properties("UploadQueue")["RedrivePolicy"]["maxReceiveCount"]


# --- queues -------------------------------------------------------------------------------


def test_a_message_stays_hidden_for_as_long_as_its_function_may_need() -> None:
    extract, merge = (properties(f"{name}Function")["Timeout"] for name in ("Extract", "Merge"))
    assert properties("UploadQueue")["VisibilityTimeout"] == 6 * extract
    # On a FIFO queue it is also how long a failure holds up its subdir.
    assert merge < properties("MergeQueue")["VisibilityTimeout"] <= merge + 60


@pytest.mark.parametrize(
    ("queue", "dlq"), [("UploadQueue", "UploadDlq"), ("MergeQueue", "MergeDlq")]
)
def test_a_queue_has_a_dead_letter_queue_of_its_own_kind(queue: str, dlq: str) -> None:
    redrive = properties(queue)["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == {"GetAtt": f"{dlq}.Arn"}
    assert properties(queue).get("FifoQueue") == properties(dlq).get("FifoQueue")
    assert properties(dlq)["MessageRetentionPeriod"] == SECONDS_OF_14_DAYS


def test_fifo_queues_are_named_so_that_they_are_ones_everywhere() -> None:
    names = [properties(name)["QueueName"]["Sub"] for name in ("MergeQueue", "MergeDlq")]
    assert [name.endswith(".fifo") for name in names] == [True, True]


def test_merge_requests_are_delayed_by_the_debounce() -> None:
    assert properties("MergeQueue")["DelaySeconds"] == {"Ref": "DebounceSeconds"}


@pytest.mark.parametrize(
    ("function", "queue"), [("ExtractFunction", "UploadQueue"), ("MergeFunction", "MergeQueue")]
)
def test_one_message_at_a_time_and_failures_are_reported(function: str, queue: str) -> None:
    (event,) = properties(function)["Events"].values()
    mapping = event["Properties"]
    assert mapping["Queue"] == {"GetAtt": f"{queue}.Arn"}
    assert mapping["BatchSize"] == 1
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


# --- notifications ------------------------------------------------------------------------


def notifications() -> list[tuple[str, str]]:
    configuration = properties("ChannelBucket")["NotificationConfiguration"]
    found = []
    for one in configuration["QueueConfigurations"]:
        (rule,) = one["Filter"]["S3Key"]["Rules"]
        assert one["Queue"] == {"GetAtt": "UploadQueue.Arn"}
        assert rule["Name"] == "suffix"
        found.append((one["Event"], rule["Value"]))
    return found


def test_whatever_happens_to_a_package_reaches_the_upload_queue() -> None:
    kinds = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*")
    assert sorted(notifications()) == sorted(
        (kind, suffix) for kind in kinds for suffix in PACKAGE_SUFFIXES
    )


def test_nothing_that_is_published_sets_off_a_notification() -> None:
    suffixes = tuple(suffix for _, suffix in notifications())
    assert not [key for key in index_keys() if key.endswith(suffixes)]


def test_only_the_channel_bucket_may_send_to_the_upload_queue() -> None:
    (allow,) = (
        one
        for one in properties("UploadQueuePolicy")["PolicyDocument"]["Statement"]
        if one["Effect"] == "Allow"
    )
    assert allow["Action"] == "sqs:SendMessage"
    _, derived, given = allow["Condition"]["ArnEquals"]["aws:SourceArn"]["If"]
    _, derived_name, given_name = properties("ChannelBucket")["BucketName"]["If"]
    assert derived["Sub"] == "arn:${AWS::Partition}:s3:::" + derived_name["Sub"]
    assert given["Sub"] == "arn:${AWS::Partition}:s3:::${" + given_name["Ref"] + "}"
    assert allow["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}


# --- who may do what ----------------------------------------------------------------------


def index_keys() -> list[str]:
    names = (REPODATA, REPODATA_ZST, SHARD_INDEX)
    return [subdir.public(name) for subdir in SUBDIRS for name in names] + [
        subdir.shard(DIGEST) for subdir in SUBDIRS
    ]


def package_keys() -> list[str]:
    return [
        PackageKey(subdir, f"torch-2.1+cpu-h1_0{suffix}").path
        for subdir in SUBDIRS
        for suffix in PACKAGE_SUFFIXES
    ]


def state_keys(*kinds: str) -> list[str]:
    found = []
    for subdir in SUBDIRS:
        staged = subdir.staged("a-1-0.conda", "1")
        every = {
            "head": subdir.head,
            "commit": subdir.commit(DIGEST),
            "tree": subdir.tree(DIGEST),
            "leaf": subdir.leaf(DIGEST),
            "rejects": subdir.rejects,
            "staged": staged,
            "set aside": subdir.set_aside(staged),
            "taken over": subdir.taken_over(DIGEST),
        }
        found += [every[kind] for kind in kinds or every]
    return found


def statements(role: str) -> Iterator[tuple[str, str]]:
    """Every action with every resource that a role's own policies allow."""
    for policy in properties(role)["Policies"]:
        for one in policy["PolicyDocument"]["Statement"]:
            assert one["Effect"] == "Allow"
            actions = one["Action"] if isinstance(one["Action"], list) else [one["Action"]]
            resources = one["Resource"] if isinstance(one["Resource"], list) else [one["Resource"]]
            for resource in resources:
                text = resource.get("Sub") or "${" + resource["GetAtt"] + "}"
                yield from ((action, text) for action in actions)


def may(role: str, action: str, bucket: str, key: str) -> bool:
    arn = "${" + bucket + ".Arn}/" + key
    # "[" would begin a set of characters, "*" and "?" mean the same as in IAM.
    return any(
        one == action and fnmatchcase(arn, resource.replace("[", "[[]"))
        for one, resource in statements(role)
    )


def allowed(role: str, action: str, bucket: str, keys: list[str]) -> list[str]:
    return [key for key in keys if may(role, action, bucket, key)]


@pytest.mark.parametrize("role", ["ExtractRole", "MergeRole"])
def test_no_role_has_a_wildcard_for_an_action_or_a_whole_resource(role: str) -> None:
    assert not [(action, arn) for action, arn in statements(role) if "*" in action or arn == "*"]
    assert not [arn for _, arn in statements(role) if arn.endswith((".Arn}/*", ":*"))]


def test_extract_reads_packages_and_writes_staging_and_nothing_else() -> None:
    everything = [*package_keys(), *index_keys(), *state_keys()]
    staged = state_keys("staged")
    role = "ExtractRole"
    assert allowed(role, "s3:GetObject", "ChannelBucket", everything) == package_keys()
    assert allowed(role, "s3:PutObject", "ChannelBucket", everything) == []
    assert allowed(role, "s3:GetObject", "StateBucket", everything) == []
    assert sorted(allowed(role, "s3:PutObject", "StateBucket", everything)) == sorted(staged)
    assert not [one for one in statements(role) if one[0].startswith("s3:Delete")]


def test_merge_writes_index_files_and_the_catalog_and_deletes_only_staging() -> None:
    everything = [*package_keys(), *index_keys(), *state_keys()]
    role = "MergeRole"
    assert allowed(role, "s3:PutObject", "ChannelBucket", everything) == index_keys()
    assert set(package_keys()) <= set(allowed(role, "s3:GetObject", "ChannelBucket", everything))
    written = state_keys("head", "commit", "tree", "leaf", "rejects", "set aside", "taken over")
    assert sorted(allowed(role, "s3:PutObject", "StateBucket", everything)) == sorted(written)
    assert set(state_keys("head", "tree", "leaf", "staged")) <= set(
        allowed(role, "s3:GetObject", "StateBucket", everything)
    )
    deleted = state_keys("staged")
    assert sorted(allowed(role, "s3:DeleteObject", "StateBucket", everything)) == sorted(deleted)
    assert allowed(role, "s3:DeleteObject", "ChannelBucket", everything) == []


@pytest.mark.parametrize(
    ("role", "buckets"),
    [("ExtractRole", ["ChannelBucket"]), ("MergeRole", ["ChannelBucket", "StateBucket"])],
)
def test_what_is_absent_is_told_from_what_is_forbidden(role: str, buckets: list[str]) -> None:
    listed = [arn for action, arn in statements(role) if action == "s3:ListBucket"]
    assert listed == ["${" + bucket + ".Arn}" for bucket in buckets]


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        (
            "ExtractRole",
            {
                ("sqs:ReceiveMessage", "UploadQueue"),
                ("sqs:DeleteMessage", "UploadQueue"),
                ("sqs:GetQueueAttributes", "UploadQueue"),
                ("sqs:ChangeMessageVisibility", "UploadQueue"),
                ("sqs:SendMessage", "MergeQueue"),
            },
        ),
        (
            "MergeRole",
            {
                ("sqs:ReceiveMessage", "MergeQueue"),
                ("sqs:DeleteMessage", "MergeQueue"),
                ("sqs:GetQueueAttributes", "MergeQueue"),
                ("sqs:ChangeMessageVisibility", "MergeQueue"),
                ("sqs:SendMessage", "MergeQueue"),
            },
        ),
    ],
)
def test_a_role_has_the_queue_actions_it_needs(role: str, expected: set[tuple[str, str]]) -> None:
    found = {
        (action, arn.removeprefix("${").removesuffix(".Arn}"))
        for action, arn in statements(role)
        if action.startswith("sqs:")
    }
    assert found == expected


# --- buckets and policies -----------------------------------------------------------------


@pytest.mark.parametrize("bucket", of_type("AWS::S3::Bucket"))
def test_a_bucket_is_kept_private_encrypted_and_bounded(bucket: str) -> None:
    assert RESOURCES[bucket]["DeletionPolicy"] == "Retain"
    assert RESOURCES[bucket]["UpdateReplacePolicy"] == "Retain"
    assert set(properties(bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = properties(bucket)["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    assert properties(bucket)["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = properties(bucket)["LifecycleConfiguration"]["Rules"]
    assert {rule["Status"] for rule in rules} == {"Enabled"}
    assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)
    assert any(
        rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays") == 1 for rule in rules
    )


def test_everything_refuses_what_does_not_come_over_tls() -> None:
    guarded = set()
    for name in [*of_type("AWS::S3::BucketPolicy"), *of_type("AWS::SQS::QueuePolicy")]:
        for one in properties(name)["PolicyDocument"]["Statement"]:
            if one.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}:
                assert (one["Effect"], one["Principal"]) == ("Deny", "*")
                target = properties(name).get("Bucket") or properties(name)["Queues"][0]
                guarded.add(target["Ref"])
    assert guarded == {*of_type("AWS::S3::Bucket"), *of_type("AWS::SQS::Queue")}


def test_whatever_checkov_is_told_to_skip_has_its_reason_beside_it() -> None:
    skipped = [
        one
        for resource in RESOURCES.values()
        for one in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]
    assert skipped
    assert all(len(one["comment"]) > 20 for one in skipped)


# --- the build ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("makefile", "prefix"), [("layers/sluice/Makefile", "SLUICE_"), ("Makefile", "")]
)
def test_what_is_built_by_default_is_what_is_deployed_by_default(
    makefile: str, prefix: str
) -> None:
    text = (ROOT / makefile).read_text()
    for parameter in ("Runtime", "Architecture"):
        (default,) = re.findall(rf"^{prefix}{parameter.upper()} \?= (\S+)$", text, re.MULTILINE)
        assert default == TEMPLATE["Parameters"][parameter]["Default"]


@pytest.mark.parametrize("name", ["ExtractFunction", "MergeFunction", "SluiceLayer"])
def test_each_makefile_has_the_target_that_sam_asks_for(name: str) -> None:
    assert RESOURCES[name]["Metadata"]["BuildMethod"] == "makefile"
    folder = properties(name).get("CodeUri") or properties(name)["ContentUri"]
    assert f"\nbuild-{name}:\n" in (ROOT / folder / "Makefile").read_text()


def pins(path: str) -> dict[str, str]:
    lines = (ROOT / path).read_text().splitlines()
    found = [line.removesuffix(" \\") for line in lines if line and not line.startswith((" ", "#"))]
    return dict(line.split("==", 1) for line in found)


def test_the_layer_has_the_versions_that_are_tested() -> None:
    layer = pins("layers/sluice/requirements.txt")
    assert layer.items() <= pins("requirements/dev.txt").items()


def test_the_layer_is_the_same_for_every_python() -> None:
    # pip judges markers by the Python that runs it, not by the one the layer is for.
    assert not [pin for pin in pins("layers/sluice/requirements.txt").values() if ";" in pin]


@pytest.mark.parametrize(
    "path",
    ["layers/sluice/requirements.txt", "requirements/dev.txt", "requirements/checkov.txt"],
)
def test_requirements_name_no_host(path: str) -> None:
    text = (ROOT / path).read_text()
    assert not re.search(r"https?:|file:|--(extra-)?index|--find-links", text)
