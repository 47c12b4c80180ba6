"""What to do about each alarm.  What an alarm means is in the template, as its description.

Texts are Markdown, with links as from ``docs/how-to/``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """How much an alarm matters, the most first: the sections of the runbook."""

    AT_RISK = (
        "Data or index at risk",
        "Act now: packages may leave an index, or sluice no longer updates a channel.",
    )
    STALE = (
        "An index is out of date",
        "Clients see an old index. Nothing is lost: queues and reconcile still have the work.",
    )
    UNREPAIRED = (
        "Lost events are not repaired",
        "Uploads are indexed, but what an event misses stays missing, and garbage stays.",
    )
    LATE = ("Uploads are late", "Uploads are indexed, but later than usual.")
    NOTICE = ("Notice", "Single packages are affected. No other package is delayed.")

    @property
    def title(self) -> str:
        """The heading of the section."""
        return self.value[0]

    @property
    def meaning(self) -> str:
        """What alarms of this severity have in common."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Advice:
    """The runbook for one alarm."""

    severity: Severity
    first: str
    """The first command."""
    check: tuple[str, ...]
    """What to check, and what it shows."""
    fix: tuple[str, ...]
    """What to do, by reason where there are several, in its order."""
    resolved: str
    """The rest of a sentence that begins with "Resolved when"."""


def _tail(function: str, pattern: str) -> str:
    """The command that shows the lines of a function's log that match a pattern."""
    group = f"/aws/lambda/my-channels-{function}"
    return f"aws logs tail {group} --since 3h --filter-pattern '{pattern}'"


_KILLED = '?"Task timed out" ?"Runtime.OutOfMemory" ?"cannot be imported"'
_CONCURRENCY = (
    "aws lambda get-account-settings "
    "--query 'AccountLimit.[ConcurrentExecutions,UnreservedConcurrentExecutions]'"
)
_STATUS = "sluice status s3://my-bucket/team"
_NOT_IMPORTED = (
    "`the function cannot be imported`: layer and code are of different releases. During an "
    "update that lasts for seconds. If it lasts longer, deploy again or "
    "[roll back](../operations.md#roll-a-release-back)."
)
_DRIFT = "[a drift-aware change set](../operations.md#what-somebody-changed-by-hand)"
_QUOTA = (
    "The two numbers are the account's quota in this region, and what other functions' reserved "
    "concurrency leaves of it. [Concurrency](../reference/sizing.md#concurrency-of-the-account) "
    "says what sluice may use."
)
_OTHERS = (
    "If another application uses the quota up: give that application reserved concurrency, or "
    "raise the quota (`L-B99A9384`)."
)
_NO_THROTTLES = "the function's metric `Throttles` is 0 for 15 minutes."

ADVICE: dict[str, Advice] = {
    "RemovalsWaitingAlarm": Advice(
        Severity.AT_RISK,
        _tail("reconcile", '"removals wait"'),
        (
            (
                "The log line names the channel, the subdir, how many packages are gone, until "
                "when they stay in the index, and the digest that confirms their removal."
            ),
            (
                "`sluice reconcile s3://my-bucket/team --dry-run` shows the same, with the command "
                "that confirms."
            ),
            (
                "Who deleted them? A lifecycle rule shows in `aws s3api "
                "get-bucket-lifecycle-configuration --bucket my-bucket`, a person in "
                "CloudTrail's data events, if they are on."
            ),
        ),
        (
            (
                "Deleted by mistake: restore the objects before that date. In a versioned bucket, "
                "[delete their delete markers](undo.md#a-deletion-or-an-overwrite)."
            ),
            (
                "Deleted on purpose: `sluice reconcile s3://my-bucket/team/linux-64 --confirm "
                "DIGEST`."
            ),
            (
                "If you do nothing, the first comparison after that date removes them from the "
                "index. [A removal waits](../operations.md#a-removal-waits) has the rule."
            ),
        ),
        "`sluice reconcile s3://my-bucket/team` shows 0 in the column `waiting`.",
    ),
    "WrongStateAlarm": Advice(
        Severity.AT_RISK,
        _tail("merge", '"WrongState"'),
        (
            (
                "The log line names the channel and both buckets. If merge has none, look for "
                "`subdir not reconciled` in the log of ReconcileFunction."
            ),
            (
                f"`{_STATUS}` says which bucket the catalog is bound to, or which command was "
                "interrupted."
            ),
            (
                "`aws cloudformation describe-stacks --stack-name my-channels --query "
                "'Stacks[0].Parameters'` shows whether a bucket parameter has changed."
            ),
        ),
        (
            (
                "A parameter is wrong: correct it and deploy. There is nothing to repair. "
                "`sluice reconcile` then finds what was uploaded meanwhile."
            ),
            (
                "The channel was moved or restored on purpose: `sluice rebind`, see [move or "
                "restore](move-or-restore.md)."
            ),
            ("A `sluice rebind` or `sluice retire` was interrupted: run the same command again."),
        ),
        f"`{_STATUS}` names no other bucket and no interrupted command.",
    ),
    "ReconcileFailuresAlarm": Advice(
        Severity.AT_RISK,
        _tail("reconcile", '"subdir not reconciled"'),
        (
            "Each line names the channel, the subdir and the reason.",
            (
                "The whole report: `aws s3 cp s3://STATE_BUCKET/reconciliations/RUN.json -`. The "
                "log line `reconciled` has the name of the run."
            ),
        ),
        (
            (
                "`Corrupt`: a stored object is damaged. Run `sluice verify s3://my-bucket/team "
                "--repair` ([Verify and repair](verify.md))."
            ),
            (
                "`the state … publishes …`: another sluice publishes there. Stop that one, or take "
                "its index over with `sluice reconcile s3://my-bucket/team --adopt`."
            ),
            "`… is bound to the bucket …`: see [WrongStateAlarm](#wrongstatealarm).",
            (
                "`… cannot be indexed, and sluice records no more of them`: the subdir has 50,000 "
                "rejects. Delete files that `sluice rejects` lists."
            ),
            (
                "`TooNew`: a newer release has written it. Deploy that release again "
                "([formats](troubleshooting.md#toonew))."
            ),
            "`Unavailable`: S3 or SQS did not answer. The next run tries again.",
            "Then run `sluice reconcile s3://my-bucket/team`.",
        ),
        "the next run prints no reason below its table.",
    ),
    "MergeDlqAlarm": Advice(
        Severity.STALE,
        _tail("merge", '"the merge will be tried again"'),
        (
            (
                "The log line has the channel, the subdir and the exception. A merge that was "
                "killed has no such line: see [MergeErrorsAlarm](#mergeerrorsalarm)."
            ),
            f"`{_STATUS}` shows how many messages are in the dead-letter queue.",
        ),
        (
            "Remove the reason, as for [MergeFailuresAlarm](#mergefailuresalarm).",
            (
                "`sluice redrive --stack my-channels` sends the requests again. `sluice reconcile` "
                "for that channel does so as well."
            ),
        ),
        f"`{_STATUS}` shows the subdir as `published` and no dead letters.",
    ),
    "MergeFailuresAlarm": Advice(
        Severity.STALE,
        _tail("merge", '"the merge will be tried again"'),
        ("The log line has the channel, the subdir and the exception.",),
        (
            "`Corrupt`, `Missing`: run `sluice verify s3://my-bucket/team --repair`.",
            (
                "`AccessDenied`: compare the policy of the bucket and that of its KMS key with "
                "`KmsKeyArn` and `ChannelPrefixes`."
            ),
            (
                "`ForeignOwner`: another sluice publishes there. Stop that one, or take its index "
                "over with `sluice reconcile s3://my-bucket/team --adopt`."
            ),
            "`WrongState`: see [WrongStateAlarm](#wrongstatealarm).",
            "`TooNew`: deploy the newer release again ([formats](troubleshooting.md#toonew)).",
            (
                "`taking over the index in … exceeded`: [a larger "
                "machine](../reference/sizing.md#on-a-larger-machine) takes the index over."
            ),
            "`Unavailable`: S3 or SQS did not answer. Retries go on for about an hour.",
        ),
        (
            f"`{_STATUS}` shows the subdir as `published`. What was retried for an hour is in the "
            "dead-letter queue: see [MergeDlqAlarm](#mergedlqalarm)."
        ),
    ),
    "MergeErrorsAlarm": Advice(
        Severity.STALE,
        _tail("merge", _KILLED),
        ("The lines before it name the channel and the subdir.",),
        (
            (
                "`Runtime.OutOfMemory` or `Task timed out`: raise `MergeMemorySize`, which also "
                "gives more CPU ([how much](../reference/sizing.md#merge-and-reconcile))."
            ),
            _NOT_IMPORTED,
        ),
        (
            "the metric `Errors` of MergeFunction is 0 for 20 minutes. The killed merge is tried "
            "again 5½ minutes after it began."
        ),
    ),
    "UploadDlqAlarm": Advice(
        Severity.STALE,
        _tail("extract", '"the upload will be tried again"'),
        (
            "The log line names the object and the reason.",
            (
                "A function that was killed leaves no such line: see "
                "[ExtractErrorsAlarm](#extracterrorsalarm)."
            ),
            "`sluice rejects s3://my-bucket/team` lists these packages as `unreadable`.",
        ),
        (
            (
                "`AccessDenied`: correct the policy of the bucket, or that of the KMS key that the "
                "object is encrypted with."
            ),
            "When the reason is gone: `sluice redrive --stack my-channels`.",
        ),
        f"`{_STATUS}` shows no dead letters of UploadQueue.",
    ),
    "ExtractErrorsAlarm": Advice(
        Severity.STALE,
        _tail("extract", _KILLED),
        ("The line before it names the package.",),
        (
            (
                "`Runtime.OutOfMemory` or `Task timed out`: raise `ExtractMemorySize` if the "
                "package should be indexed. Otherwise delete it. After five tries it is a reject "
                "and a dead letter."
            ),
            _NOT_IMPORTED,
        ),
        "the metric `Errors` of ExtractFunction is 0 for 20 minutes.",
    ),
    "EventDlqAlarm": Advice(
        Severity.STALE,
        (
            "aws sqs receive-message --queue-url EVENT_DLQ_URL --message-attribute-names All "
            "--query 'Messages[].MessageAttributes'"
        ),
        (
            (
                "The attributes `ERROR_CODE` and `ERROR_MESSAGE` have the reason. "
                "`NO_PERMISSIONS`: somebody has changed the policy of UploadQueue."
            ),
        ),
        (
            f"The policy was changed: {_DRIFT} restores it.",
            "`sluice redrive --stack my-channels` sends the events to UploadQueue.",
        ),
        f"`{_STATUS}` shows no dead letters in the row `EventBridge`.",
    ),
    "UploadRuleAlarm": Advice(
        Severity.STALE,
        "aws sqs get-queue-attributes --queue-url UPLOAD_QUEUE_URL --attribute-names Policy",
        (
            "Does the queue exist, and does its policy allow `events.amazonaws.com`?",
            "[EventDlqAlarm](#eventdlqalarm) has the reason, if the events reached EventDlq.",
        ),
        (
            f"The policy was changed, or the queue deleted: {_DRIFT} restores it.",
            "`sluice redrive --stack my-channels` sends the events of EventDlq on.",
            "`sluice reconcile s3://my-bucket/team` finds the packages of all other events.",
        ),
        "a new upload is indexed, and `sluice reconcile` finds nothing `missing`.",
    ),
    "ReconcileMissingAlarm": Advice(
        Severity.UNREPAIRED,
        "aws scheduler list-schedules --query 'Schedules[].[Name,State]' --output text",
        (
            "The schedule of the stack has to exist and to be `ENABLED`.",
            (
                "Is a run stuck? [ReconcileErrorsAlarm](#reconcileerrorsalarm) and "
                "[ReconcileDlqAlarm](#reconciledlqalarm) are raised then."
            ),
        ),
        (
            (
                "After the first deployment: wait for the first run, or start one: `aws lambda "
                "invoke --function-name RECONCILE_FUNCTION --cli-binary-format raw-in-base64-out "
                "--cli-read-timeout 0 --payload '{}' report.json`."
            ),
            (
                "If runs are further apart than `ReconcileOverdueHours`, or take longer, raise it. "
                "0 turns this alarm off, and so does `ReconcileSchedule=none`."
            ),
        ),
        "a run over all channels has finished: its log line `reconciled` has `finished: true`.",
    ),
    "ReconcileErrorsAlarm": Advice(
        Severity.UNREPAIRED,
        _tail("reconcile", _KILLED),
        ("The newest line `reconciled` before it has the run and its last finished step.",),
        (
            (
                "`Runtime.OutOfMemory` or `Task timed out`: raise `MergeMemorySize`, which is the "
                "memory of this function, too."
            ),
            _NOT_IMPORTED,
            (
                "Lambda starts a scheduled run again, twice within the hour. To start one "
                "yourself: `sluice reconcile s3://my-bucket/team`."
            ),
        ),
        "a run over all channels has finished: its log line `reconciled` has `finished: true`.",
    ),
    "ReconcileDlqAlarm": Advice(
        Severity.UNREPAIRED,
        _tail("reconcile", '"the step will be tried again"'),
        ("The log line has the step and the exception.",),
        (
            (
                "Remove the reason: `AccessDenied` is a policy, `TooNew` [a "
                "downgrade](troubleshooting.md#toonew), `Unavailable` passes."
            ),
            (
                "`sluice redrive --stack my-channels` continues the run where it stopped. A new "
                "run starts only when the old one has been silent for two hours."
            ),
        ),
        f"`{_STATUS}` shows no dead letters of ReconcileQueue, and the run has finished.",
    ),
    "RepeatedRepairsAlarm": Advice(
        Severity.UNREPAIRED,
        _STATUS,
        (
            (
                "It says whether the bucket still sends its events to the stack. S3 replaces the "
                "notification configuration of a bucket as a whole, so another tool may have "
                "removed sluice's part."
            ),
            (
                "The two newest reports in `reconciliations/` of the state bucket have examples. "
                "`missing` or `changed`: events were lost. `behind`: somebody else writes index "
                "files."
            ),
        ),
        (
            (
                f"Notifications are missing: {_DRIFT} restores them. For a bucket that existed "
                "before the stack, [turn on EventBridge](existing-bucket.md#steps)."
            ),
            "Another indexer runs: stop it.",
            "A first import takes longer than a day: nothing to do.",
        ),
        "the next run repairs nothing. Start it with `sluice reconcile s3://my-bucket/team`.",
    ),
    "ReconcileThrottlesAlarm": Advice(
        Severity.UNREPAIRED,
        _CONCURRENCY,
        (_QUOTA, "Reconcile itself runs at most five times at once."),
        (_OTHERS, "Lower `ExtractConcurrency` or `MergeConcurrency` if it is sluice."),
        _NO_THROTTLES,
    ),
    "UploadAgeAlarm": Advice(
        Severity.LATE,
        _STATUS,
        (
            "UploadQueue's row: `waiting` has to fall.",
            (
                "Is ExtractFunction running? See [ExtractErrorsAlarm](#extracterrorsalarm), "
                "[ExtractThrottlesAlarm](#extractthrottlesalarm) and the dashboard's “running at "
                "once”."
            ),
        ),
        (
            (
                "If it runs at `ExtractConcurrency` all the time, raise that, and the account's "
                "quota with it."
            ),
            "A first import of a large bucket raises this alarm and ends by itself.",
        ),
        "the oldest message of UploadQueue is younger than 15 minutes.",
    ),
    "MergeAgeAlarm": Advice(
        Severity.LATE,
        _STATUS,
        (
            "Which subdirs are not `published`? One, or many?",
            "The dashboard's “merge duration”, and [MergeFailuresAlarm](#mergefailuresalarm).",
        ),
        (
            "Many subdirs wait: raise `MergeConcurrency`, and the account's quota with it.",
            (
                "One subdir waits: its merges fail, or take too long. More `MergeMemorySize` is "
                "also more CPU ([how much](../reference/sizing.md#merge-and-reconcile))."
            ),
        ),
        "the oldest message of MergeQueue is younger than 15 minutes.",
    ),
    "IndexLagAlarm": Advice(
        Severity.LATE,
        "aws cloudwatch describe-alarms --state-value ALARM --query 'MetricAlarms[].AlarmName'",
        (
            (
                "[UploadAgeAlarm](#uploadagealarm) or [MergeAgeAlarm](#mergeagealarm) says which "
                "side is slow."
            ),
            (
                "If neither is raised, events arrive late, or reconcile has found packages that no "
                "event reported: see [RepeatedRepairsAlarm](#repeatedrepairsalarm)."
            ),
        ),
        (
            "Follow the alarm that is raised.",
            "An existing bucket is being indexed for the first time: nothing to do.",
        ),
        "95 % of new packages are indexed within ten minutes again.",
    ),
    "ExtractThrottlesAlarm": Advice(
        Severity.LATE,
        _CONCURRENCY,
        (_QUOTA,),
        (
            _OTHERS,
            (
                "If it is sluice: lower `ExtractConcurrency`. Uploads then wait in the queue, "
                "which uses none of their five tries."
            ),
        ),
        _NO_THROTTLES,
    ),
    "MergeThrottlesAlarm": Advice(
        Severity.LATE,
        _CONCURRENCY,
        (_QUOTA,),
        (
            _OTHERS,
            "If it is sluice: lower `MergeConcurrency`.",
            (
                "A request that is throttled for an hour and a half is in MergeDlq: `sluice "
                "redrive --stack my-channels`."
            ),
        ),
        _NO_THROTTLES,
    ),
    "SlowUploadDlqAlarm": Advice(
        Severity.NOTICE,
        _tail("extract", '"the upload will be tried again"'),
        (
            "The log line names the object and the reason.",
            (
                "`Task timed out` instead of such a line: the package is too large to be read "
                "whole in five minutes."
            ),
        ),
        (
            "Too large: upload it with its digests, as `rattler-build upload s3` does.",
            "When the reason is gone: `sluice redrive --stack my-channels`.",
        ),
        f"`{_STATUS}` shows no dead letters of SlowUploadQueue.",
    ),
    "SlowUploadAgeAlarm": Advice(
        Severity.NOTICE,
        _tail("extract", '"to be read in the slow lane"'),
        ("Each line names the channel, the package and the limit that it exceeds.",),
        (
            (
                "`hashing-too-slow`: large packages without digests. Upload them with digests, or "
                "raise `SlowExtractConcurrency` until they are read."
            ),
            (
                "Anything else in great numbers is a mistake of a publisher, or an attack: revoke "
                "their right to upload, and delete the packages. A message about a deleted "
                "package takes no time."
            ),
        ),
        "the oldest message of SlowUploadQueue is younger than an hour.",
    ),
    "PackagesRejectedAlarm": Advice(
        Severity.NOTICE,
        _tail("merge", "{ $.PackagesRejected > 0 }"),
        (
            "Each line names a channel and a subdir.",
            "`sluice rejects s3://my-bucket/team` lists the files, each with reason and advice.",
        ),
        (
            "Tell the publisher.",
            (
                "A `sluice.toml` or a patch is listed as `problem`: the last valid one stays "
                "active until a corrected one is uploaded."
            ),
        ),
        ("`sluice rejects` does not list the file any more: it was uploaded again or deleted."),
    ),
}
"""By the logical id of the alarm; within a severity, the order of the runbook."""
