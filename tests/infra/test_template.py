"""``template.yaml`` against the code that runs in it, and against what it promises."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sluice import __version__
from sluice.admin.session.queue_depth import QUEUE_KINDS
from sluice.conda.names import PACKAGE_SUFFIXES
from sluice.layout import REPODATA, SLUICE_TOML, PackageKey, Subdir, config_key, reconcile_part_key
from sluice.limits import RECONCILE_STEP_SILENCE_SECONDS_MAX
from sluice.publish.outputs import ALL_OUTPUTS
from sluice.settings import ExtractSettings, MergeSettings, ReconcileSettings
from tests.support.template import (
    CHANNEL,
    GLOBAL_VARIABLES,
    RESOURCES,
    ROOT,
    STATE,
    TEMPLATE,
    may,
    of_type,
    policy_statements,
    properties,
    statements,
)

DIGEST = "ab" * 32
SUBDIRS = (Subdir("", "noarch"), Subdir("Conda/Default", "linux-64"))
SECONDS_OF_14_DAYS = 14 * 24 * 3600
FED_BY = [
    ("ExtractFunction", "UploadQueue"),
    ("ExtractFunction", "SlowUploadQueue"),
    ("MergeFunction", "MergeQueue"),
    ("ReconcileFunction", "ReconcileQueue"),
]
UPLOAD_QUEUES = ("UploadQueue", "SlowUploadQueue")
ROLES = ("ExtractRole", "MergeRole", "ReconcileRole")


# --- what it offers -----------------------------------------------------------------------


def test_parameters_have_the_documented_defaults() -> None:
    assert {name: one["Default"] for name, one in TEMPLATE["Parameters"].items()} == {
        "ChannelBucketName": "",
        "ExistingChannelBucketName": "",
        "ExistingStateBucketName": "",
        "ChannelPrefixes": "",
        "RightsWithin": "folders",
        "KmsKeyArn": "",
        "DebounceSeconds": 10,
        "IndexCacheMaxAge": 60,
        "PackageCacheMaxAge": 3600,
        "TrustUploaderDigests": "true",
        "Runtime": "python3.13",
        "Architecture": "arm64",
        "ExtractMemorySize": 1024,
        "MergeMemorySize": 1769,
        "DefaultOutputs": "run-exports",
        "DefaultTimestamps": "warn",
        "ReconcileSchedule": "rate(1 day)",
        "ReconcileOverdueHours": 36,
        "RetentionDays": 7,
        "BrakeDays": 3,
        "ExtractConcurrency": 50,
        "SlowExtractConcurrency": 10,
        "MergeConcurrency": 20,
        "AlarmEmail": "",
        "AlarmTopicArn": "",
        "Cdn": "none",
        "CdnDomainName": "",
        "CdnCertificateArn": "",
        "LogLevel": "INFO",
    }


def test_every_parameter_says_what_it_is_for() -> None:
    assert all(one["Description"].strip() for one in TEMPLATE["Parameters"].values())


def test_the_debounce_can_be_3_to_300_seconds() -> None:
    one = TEMPLATE["Parameters"]["DebounceSeconds"]
    assert (one["MinValue"], one["MaxValue"]) == (3, 300)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("", True),
        ("team/", True),
        ("team/,Conda/Default/", True),
        ("Bücher/日本/,a b", True),
        ("/team", False),
        ("team/,", False),
        ("a,,b", False),
        (",".join(f"c{number}/" for number in range(12)), True),
        (",".join(f"c{number}/" for number in range(13)), False),
    ],
)
def test_prefixes_are_separated_by_commas_and_begin_with_no_slash(
    text: str, *, valid: bool
) -> None:
    pattern = TEMPLATE["Parameters"]["ChannelPrefixes"]["AllowedPattern"]
    assert (re.fullmatch(pattern, text) is not None) == valid


def test_outputs_name_all_that_one_works_with() -> None:
    assert {name: one["Value"] for name, one in TEMPLATE["Outputs"].items()} == {
        "Version": __version__,
        "ChannelBucketName": CHANNEL,
        "StateBucketName": STATE,
        "UploadQueueUrl": {"Ref": "UploadQueue"},
        "UploadDlqUrl": {"Ref": "UploadDlq"},
        "UploadDlqArn": {"GetAtt": "UploadDlq.Arn"},
        "SlowUploadQueueUrl": {"Ref": "SlowUploadQueue"},
        "SlowUploadDlqUrl": {"Ref": "SlowUploadDlq"},
        "SlowUploadDlqArn": {"GetAtt": "SlowUploadDlq.Arn"},
        "EventDlqUrl": {"Ref": "EventDlq"},
        "MergeQueueUrl": {"Ref": "MergeQueue"},
        "MergeDlqUrl": {"Ref": "MergeDlq"},
        "MergeDlqArn": {"GetAtt": "MergeDlq.Arn"},
        "ReconcileQueueUrl": {"Ref": "ReconcileQueue"},
        "ReconcileDlqUrl": {"Ref": "ReconcileDlq"},
        "ReconcileDlqArn": {"GetAtt": "ReconcileDlq.Arn"},
        "ExtractFunctionName": {"Ref": "ExtractFunction"},
        "MergeFunctionName": {"Ref": "MergeFunction"},
        "ReconcileFunctionName": {"Ref": "ReconcileFunction"},
        "DashboardName": {"Ref": "Dashboard"},
        "ChannelUrl": {
            "If": [
                "NameCdn",
                {"Sub": "https://${CdnDomainName}"},
                {"Sub": "https://${Distribution.DomainName}"},
            ]
        },
        "DistributionArn": {
            "Sub": "arn:${AWS::Partition}:cloudfront::${AWS::AccountId}"
            ":distribution/${Distribution}"
        },
        "DistributionDomainName": {"GetAtt": "Distribution.DomainName"},
    }


# --- what the functions are told ----------------------------------------------------------


class Recorder(dict[str, str]):
    """An environment that remembers what was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def get(self, key: str, _default: Any = None) -> Any:
        self.asked.add(key)
        words = {"TRUST_UPLOADER_DIGESTS": "true", "DEFAULT_OUTPUTS": "run-exports"}
        return {**words, "DEFAULT_TIMESTAMPS": "warn"}.get(key, "5")


@pytest.mark.parametrize(
    ("function", "settings"),
    [
        ("ExtractFunction", ExtractSettings),
        ("MergeFunction", MergeSettings),
        ("ReconcileFunction", ReconcileSettings),
    ],
)
def test_a_function_is_given_exactly_the_variables_that_it_reads(
    function: str, settings: type[ExtractSettings | MergeSettings | ReconcileSettings]
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


@pytest.mark.parametrize("queue", UPLOAD_QUEUES)
def test_extract_knows_how_often_its_queues_hand_a_message_out(queue: str) -> None:
    told = properties("ExtractFunction")["Environment"]["Variables"]["UPLOAD_MAX_RECEIVES"]
    assert int(told) == properties(queue)["RedrivePolicy"]["maxReceiveCount"]


@pytest.mark.parametrize("function", ["MergeFunction", "ReconcileFunction"])
def test_who_publishes_is_told_by_the_state_and_not_by_the_stack(function: str) -> None:
    # A new stack on the state of a deleted one goes on publishing.
    assert properties(function)["Environment"]["Variables"]["OWNER"] == STATE


# --- queues -------------------------------------------------------------------------------


def test_a_message_stays_hidden_for_as_long_as_its_function_may_need() -> None:
    # And not much longer: so long a function that died hides it, and its FIFO group with it.
    for function, queue in FED_BY:
        timeout = properties(function)["Timeout"]
        assert timeout < properties(queue)["VisibilityTimeout"] <= timeout + 60


def test_a_run_counts_as_under_way_while_its_step_may_be_tried_again() -> None:
    redrive = properties("ReconcileQueue")["RedrivePolicy"]
    tries_seconds = redrive["maxReceiveCount"] * properties("ReconcileQueue")["VisibilityTimeout"]
    assert tries_seconds < RECONCILE_STEP_SILENCE_SECONDS_MAX <= 2 * tries_seconds


@pytest.mark.parametrize("kind", QUEUE_KINDS)
def test_a_queue_has_a_dead_letter_queue_of_its_own_kind(kind: str) -> None:
    queue, dlq = f"{kind}Queue", f"{kind}Dlq"
    redrive = properties(queue)["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == {"GetAtt": f"{dlq}.Arn"}
    assert properties(queue).get("FifoQueue") == properties(dlq).get("FifoQueue")
    assert properties(dlq)["MessageRetentionPeriod"] == SECONDS_OF_14_DAYS


def test_slow_packages_have_a_share_of_concurrency_that_is_not_that_of_all_uploads() -> None:
    shares = {
        one["Properties"]["Queue"]["GetAtt"]: one["Properties"]["ScalingConfig"]
        for one in properties("ExtractFunction")["Events"].values()
    }
    assert shares == {
        "UploadQueue.Arn": {"MaximumConcurrency": {"Ref": "ExtractConcurrency"}},
        "SlowUploadQueue.Arn": {"MaximumConcurrency": {"Ref": "SlowExtractConcurrency"}},
    }


def test_a_slow_package_waits_for_as_long_as_a_queue_can_keep_it() -> None:
    # A reconcile asks for what is lost, but it must not be what a flood is handled by.
    assert properties("SlowUploadQueue")["MessageRetentionPeriod"] == SECONDS_OF_14_DAYS


@pytest.mark.parametrize("kind", QUEUE_KINDS)
def test_no_other_queue_may_send_its_dead_letters_there(kind: str) -> None:
    allow = properties(f"{kind}Dlq")["RedriveAllowPolicy"]
    assert allow["redrivePermission"] == "byQueue"
    (source,) = allow["sourceQueueArns"]
    prefix = "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:"
    # By name: the queue refers to its dead-letter queue, so that cannot refer to it.
    assert source == {"Sub": prefix + properties(f"{kind}Queue")["QueueName"]["Sub"]}


def test_no_queue_at_all_may_send_its_dead_letters_to_the_rules() -> None:
    assert properties("EventDlq")["RedriveAllowPolicy"] == {"redrivePermission": "denyAll"}


def test_fifo_queues_are_named_so_that_they_are_ones_everywhere() -> None:
    names = {
        name: properties(name)["QueueName"]["Sub"]
        for name in of_type("AWS::SQS::Queue")
        if properties(name).get("FifoQueue")
    }
    assert names == {
        "MergeQueue": "${AWS::StackName}-merge.fifo",
        "MergeDlq": "${AWS::StackName}-merge-dlq.fifo",
        "ReconcileQueue": "${AWS::StackName}-reconcile.fifo",
        "ReconcileDlq": "${AWS::StackName}-reconcile-dlq.fifo",
    }


def test_merge_requests_are_delivered_at_once() -> None:
    assert properties("MergeQueue")["DelaySeconds"] == 0


def mappings(function: str) -> list[dict[str, Any]]:
    """The event source mappings of a function."""
    events = properties(function)["Events"].values()
    return [event["Properties"] for event in events if event["Type"] == "SQS"]


@pytest.mark.parametrize("function", of_type("AWS::Serverless::Function"))
def test_a_function_is_fed_by_its_queues_alone(function: str) -> None:
    queues = [mapping["Queue"] for mapping in mappings(function)]
    assert queues == [{"GetAtt": f"{queue}.Arn"} for fed, queue in FED_BY if fed == function]


@pytest.mark.parametrize(("function", "queue"), FED_BY)
def test_one_message_at_a_time_and_failures_are_reported(function: str, queue: str) -> None:
    of_queue = {"GetAtt": f"{queue}.Arn"}
    (mapping,) = (one for one in mappings(function) if one["Queue"] == of_queue)
    assert mapping["BatchSize"] == 1
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


@pytest.mark.parametrize(
    "mapping",
    [one for function in of_type("AWS::Serverless::Function") for one in mappings(function)],
    ids=lambda mapping: mapping["Queue"]["GetAtt"],
)
def test_no_queue_takes_all_of_the_accounts_concurrency(mapping: dict[str, Any]) -> None:
    most = mapping["ScalingConfig"]["MaximumConcurrency"]
    if isinstance(most, dict):
        parameter = TEMPLATE["Parameters"][most["Ref"]]
        # AWS's bounds of MaximumConcurrency.
        assert (parameter["MinValue"], parameter["MaxValue"]) == (2, 1000)
        most = parameter["Default"]
    assert 2 <= most <= 50


@pytest.mark.parametrize("function", ["MergeFunction", "ReconcileFunction"])
def test_lambda_does_not_cut_off_work_that_continues_itself(function: str) -> None:
    assert properties(function)["RecursiveLoop"] == "Allow"


def test_every_channel_is_reconciled_on_a_schedule_whose_name_is_its_stacks_own() -> None:
    schedule = properties("ReconcileFunction")["Events"]["Schedule"]
    assert schedule == {
        "Type": "ScheduleV2",
        "Properties": {
            "OmitName": True,
            "ScheduleExpression": {
                "If": ["OnSchedule", {"Ref": "ReconcileSchedule"}, "rate(1 day)"]
            },
            "State": {"If": ["OnSchedule", "ENABLED", "DISABLED"]},
            "Input": "{}",
            "RoleArn": {"GetAtt": "SchedulerRole.Arn"},
        },
    }


def test_only_the_scheduler_of_this_account_starts_a_reconcile_and_nothing_else() -> None:
    (trust,) = properties("SchedulerRole")["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert set(statements("SchedulerRole")) == {("lambda:InvokeFunction", "ReconcileFunction")}
    assert "ManagedPolicyArns" not in properties("SchedulerRole")


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
        [(kind, suffix) for kind in kinds for suffix in (*PACKAGE_SUFFIXES, SLUICE_TOML)]
        # A package that was archived comes back when it is restored.
        + [("s3:ObjectRestore:*", suffix) for suffix in PACKAGE_SUFFIXES]
    )


def test_nothing_that_is_published_sets_off_a_notification() -> None:
    suffixes = tuple(suffix for _, suffix in notifications())
    assert not [key for key in index_keys() if key.endswith(suffixes)]


def test_eventbridge_hands_on_the_same_packages_events_of_a_bucket_that_exists() -> None:
    rule = properties("UploadRule")
    assert rule["EventPattern"] == {
        "source": ["aws.s3"],
        "account": [{"Ref": "AWS::AccountId"}],
        "detail-type": [
            "Object Created",
            "Object Deleted",
            "Object Restore Completed",
            "Object Restore Expired",
        ],
        "detail": {
            "bucket": {"name": [{"Ref": "ExistingChannelBucketName"}]},
            "object": {"key": [{"suffix": suffix} for suffix in (*PACKAGE_SUFFIXES, SLUICE_TOML)]},
        },
    }
    assert rule["Targets"] == [
        {
            "Id": "UploadQueue",
            "Arn": {"GetAtt": "UploadQueue.Arn"},
            "DeadLetterConfig": {"Arn": {"GetAtt": "EventDlq.Arn"}},
        }
    ]


def test_only_the_rule_may_send_to_its_dead_letter_queue() -> None:
    allow, _ = properties("EventDlqPolicy")["PolicyDocument"]["Statement"]
    assert (allow["Effect"], allow["Action"]) == ("Allow", "sqs:SendMessage")
    assert allow["Principal"] == {"Service": "events.amazonaws.com"}
    assert allow["Condition"] == {
        "ArnEquals": {"aws:SourceArn": {"GetAtt": "UploadRule.Arn"}},
        "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
    }
    assert properties("EventDlq")["MessageRetentionPeriod"] == SECONDS_OF_14_DAYS


def test_only_the_channel_buckets_events_may_be_sent_to_the_upload_queue() -> None:
    (allow,) = (
        one
        for one in properties("UploadQueuePolicy")["PolicyDocument"]["Statement"]
        if one["Effect"] == "Allow"
    )
    assert allow["Action"] == "sqs:SendMessage"
    services = ["MakeChannelBucket", "s3.amazonaws.com", "events.amazonaws.com"]
    assert allow["Principal"] == {"Service": {"If": services}}
    _, derived_name, given_name = properties("ChannelBucket")["BucketName"]["If"]
    arn = "arn:${AWS::Partition}:s3:::"
    assert allow["Condition"] == {
        "ArnEquals": {
            "aws:SourceArn": {
                "If": [
                    "UseExistingChannelBucket",
                    {"GetAtt": "UploadRule.Arn"},
                    {
                        "If": [
                            "NameChannelBucket",
                            {"Sub": arn + derived_name["Sub"]},
                            {"Sub": arn + "${" + given_name["Ref"] + "}"},
                        ]
                    },
                ]
            }
        },
        "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
    }


# --- who may do what ----------------------------------------------------------------------


def index_keys() -> list[str]:
    return [subdir.file_key(name) for subdir in SUBDIRS for name in ALL_OUTPUTS] + [
        subdir.shard_key(DIGEST) for subdir in SUBDIRS
    ]


def package_keys() -> list[str]:
    return [
        PackageKey(subdir, f"torch-2.1+cpu-h1_0{suffix}").key
        for subdir in SUBDIRS
        for suffix in PACKAGE_SUFFIXES
    ]


def state_keys(*kinds: str) -> list[str]:
    found = []
    for subdir in SUBDIRS:
        staged = subdir.staging_key("a-1-0.conda", "1")
        every = {
            "head": subdir.head_key,
            "commit": subdir.commit_key(DIGEST),
            "tree": subdir.tree_key(DIGEST),
            "leaf": subdir.leaf_key(DIGEST),
            "pack": subdir.pack_key(DIGEST),
            "rejects": subdir.rejects_key,
            "staged": staged,
            "set aside": subdir.unreadable_staging_key(staged),
            "taken over": subdir.taken_over_key(DIGEST),
            "marks": subdir.marks_key,
            "brakes": subdir.brakes_key,
            "patch": subdir.patches.key(DIGEST),
        }
        found += [every[kind] for kind in kinds or every]
    return found


def allowed(role: str, action: str, bucket: str, keys: list[str]) -> list[str]:
    return [key for key in keys if may(role, action, bucket, key)]


@pytest.mark.parametrize("role", ROLES)
def test_no_role_has_a_wildcard_for_an_action_or_a_whole_resource(role: str) -> None:
    assert not [(action, arn) for action, arn in statements(role) if "*" in action or arn == "*"]
    assert not [arn for _, arn in statements(role) if arn in ("Channel/*", "State/*")]


def test_extract_reads_packages_and_writes_staging_and_nothing_else() -> None:
    everything = [*package_keys(), *index_keys(), *state_keys()]
    staged = state_keys("staged")
    role = "ExtractRole"
    assert allowed(role, "s3:GetObject", "Channel", everything) == package_keys()
    assert allowed(role, "s3:PutObject", "Channel", everything) == []
    assert allowed(role, "s3:GetObject", "State", everything) == []
    assert sorted(allowed(role, "s3:PutObject", "State", everything)) == sorted(staged)
    assert not [one for one in statements(role) if one[0].startswith("s3:Delete")]


def test_merge_writes_index_files_and_the_catalog_and_deletes_only_what_it_may_take_back() -> None:
    everything = [*package_keys(), *index_keys(), *state_keys()]
    role = "MergeRole"
    assert allowed(role, "s3:PutObject", "Channel", everything) == index_keys()
    assert set(package_keys()) <= set(allowed(role, "s3:GetObject", "Channel", everything))
    written = state_keys(
        *("head", "commit", "tree", "leaf", "pack", "rejects"),
        *("set aside", "taken over", "patch", "staged"),
    )
    assert sorted(allowed(role, "s3:PutObject", "State", everything)) == sorted(written)
    assert set(state_keys("head", "tree", "leaf", "pack", "staged")) <= set(
        allowed(role, "s3:GetObject", "State", everything)
    )
    deleted = state_keys("staged")
    assert sorted(allowed(role, "s3:DeleteObject", "State", everything)) == sorted(deleted)
    optional = [
        subdir.file_key(name) for subdir in SUBDIRS for name in ALL_OUTPUTS if name != REPODATA
    ]
    assert allowed(role, "s3:DeleteObject", "Channel", everything) == optional
    for channel in ("", "team", "Conda/Default"):
        assert may(role, "s3:GetObject", "Channel", config_key(channel))
        assert not may(role, "s3:PutObject", "Channel", config_key(channel))


def test_reconcile_looks_stages_and_collects_and_writes_nothing_public() -> None:
    everything = [*package_keys(), *index_keys(), *state_keys()]
    role = "ReconcileRole"
    shards = [subdir.shard_key(DIGEST) for subdir in SUBDIRS]
    # Packages by HEAD alone, which IAM cannot tell from reading them.
    looked_at = [*package_keys(), *(key for key in index_keys() if key not in shards)]
    assert allowed(role, "s3:GetObject", "Channel", everything) == looked_at
    assert allowed(role, "s3:PutObject", "Channel", everything) == []
    assert allowed(role, "s3:DeleteObject", "Channel", everything) == shards
    written = state_keys("staged", "marks", "brakes")
    assert sorted(allowed(role, "s3:PutObject", "State", everything)) == sorted(written)
    read = state_keys("head", "tree", "leaf", "pack", "rejects", "taken over", "marks", "brakes")
    assert sorted(allowed(role, "s3:GetObject", "State", everything)) == sorted(read)
    collected = state_keys("commit", "tree", "leaf", "pack", "taken over", "patch")
    assert sorted(allowed(role, "s3:DeleteObject", "State", everything)) == sorted(collected)
    report = "reconciliations/2026-11-23T084023Z-1f2e3d4c.json"
    assert may(role, "s3:PutObject", "State", report)
    assert may(role, "s3:GetObject", "State", report)
    part = reconcile_part_key("2026-11-23T084023Z-1f2e3d4c", SUBDIRS[0])
    assert may(role, "s3:PutObject", "State", part)
    assert may(role, "s3:GetObject", "State", part)


@pytest.mark.parametrize(
    ("role", "buckets"),
    [
        ("ExtractRole", ["Channel", "State"]),
        ("MergeRole", ["Channel", "State"]),
        ("ReconcileRole", ["Channel", "State"]),
    ],
)
def test_what_is_absent_is_told_from_what_is_forbidden(role: str, buckets: list[str]) -> None:
    listed = [bucket for action, bucket in statements(role) if action == "s3:ListBucket"]
    assert listed == buckets


@pytest.mark.parametrize("role", ROLES)
def test_the_key_of_an_existing_bucket_is_used_through_s3_alone(role: str) -> None:
    (statement,) = (one for one in policy_statements(role) if "kms:Decrypt" in one["Action"])
    assert statement["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert statement["Resource"] == {"Ref": "KmsKeyArn"}
    through = {"kms:ViaService": {"Sub": "s3.${AWS::Region}.amazonaws.com"}}
    assert statement["Condition"] == {"StringEquals": through}


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        (
            "ExtractRole",
            {
                *(
                    (f"sqs:{action}", queue)
                    for queue in UPLOAD_QUEUES
                    for action in (
                        "ReceiveMessage",
                        "DeleteMessage",
                        "GetQueueAttributes",
                        "ChangeMessageVisibility",
                    )
                ),
                ("sqs:SendMessage", "SlowUploadQueue"),
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
        (
            "ReconcileRole",
            {
                ("sqs:ReceiveMessage", "ReconcileQueue"),
                ("sqs:DeleteMessage", "ReconcileQueue"),
                ("sqs:GetQueueAttributes", "ReconcileQueue"),
                ("sqs:ChangeMessageVisibility", "ReconcileQueue"),
                ("sqs:SendMessage", "ReconcileQueue"),
                ("sqs:SendMessage", "UploadQueue"),
                ("sqs:SendMessage", "MergeQueue"),
            },
        ),
    ],
)
def test_a_role_has_the_queue_actions_it_needs(role: str, expected: set[tuple[str, str]]) -> None:
    found = {(action, queue) for action, queue in statements(role) if action.startswith("sqs:")}
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


def test_reports_are_kept_for_90_days() -> None:
    rules = properties("StateBucket")["LifecycleConfiguration"]["Rules"]
    assert [rule for rule in rules if "ExpirationInDays" in rule] == [
        {
            "Id": "ExpireReports",
            "Status": "Enabled",
            "Prefix": "reconciliations/",
            "ExpirationInDays": 90,
        }
    ]


@pytest.mark.parametrize(
    ("condition", "resources"),
    [
        ("MakeChannelBucket", {"ChannelBucket", "ChannelBucketPolicy"}),
        ("MakeStateBucket", {"StateBucket", "StateBucketPolicy"}),
        (
            "UseExistingChannelBucket",
            {"UploadRule", "EventDlq", "EventDlqPolicy", "EventDlqAlarm", "UploadRuleAlarm"},
        ),
    ],
)
def test_nothing_is_made_for_a_bucket_that_exists_but_a_rule_and_its_dead_letters(
    condition: str, resources: set[str]
) -> None:
    found = {name for name, one in RESOURCES.items() if one.get("Condition") == condition}
    assert found == resources


@pytest.mark.parametrize("policy", of_type("AWS::S3::BucketPolicy"))
def test_the_policy_of_a_bucket_outlives_the_stack_as_the_bucket_does(policy: str) -> None:
    assert RESOURCES[policy]["DeletionPolicy"] == "Retain"
    assert RESOURCES[policy]["UpdateReplacePolicy"] == "Retain"


def test_everything_refuses_what_does_not_come_over_tls() -> None:
    guarded = set()
    policies = ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy")
    for name in (name for policy in policies for name in of_type(policy)):
        for one in properties(name)["PolicyDocument"]["Statement"]:
            if one.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}:
                assert (one["Effect"], one["Principal"]) == ("Deny", "*")
                of = properties(name)
                (target,) = of.get("Queues") or of.get("Topics") or [of["Bucket"]]
                guarded.add(target["Ref"])
    kinds = ("AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::SNS::Topic")
    assert guarded == {name for kind in kinds for name in of_type(kind)}


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


@pytest.mark.parametrize(
    "name", ["ExtractFunction", "MergeFunction", "ReconcileFunction", "SluiceLayer"]
)
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
    [
        "layers/sluice/requirements.txt",
        "requirements/checkov.txt",
        "requirements/dev.txt",
        "requirements/docs.txt",
        "requirements/fuzz.txt",
    ],
)
def test_requirements_name_no_host(path: str) -> None:
    text = (ROOT / path).read_text()
    assert not re.search(r"https?:|file:|--(extra-)?index|--find-links", text)
