"""What to do about each alarm, step by step; what it means stands in the template."""

from __future__ import annotations

ADVICE: dict[str, tuple[str, ...]] = {
    "UploadDlqAlarm": (
        (
            "Look for `the upload will be tried again` in the log of ExtractFunction: it names "
            "the object and the reason. `AccessDenied` is a matter of the bucket's policy or "
            "key; a killed function leaves no such line, but `ExtractErrorsAlarm`."
        ),
        (
            "When the reason is gone: `sluice redrive --stack my-channels`. Each of these "
            "packages is also among the rejects meanwhile (`sluice rejects`)."
        ),
    ),
    "SlowUploadDlqAlarm": (
        (
            "As for `UploadDlqAlarm`: the log of ExtractFunction names the object and the reason. "
            "`Task timed out` is a package that is too large to be read whole in five minutes: "
            "upload it with its digests, as rattler-build does."
        ),
        "When the reason is gone: `sluice redrive --stack my-channels`.",
    ),
    "MergeDlqAlarm": (
        (
            "Look for `the merge will be tried again` in the log of MergeFunction. `Corrupt` is "
            "for `sluice verify --repair`, `WrongState` for [move or "
            "restore](../how-to/move-or-restore.md)."
        ),
        "Then `sluice redrive --stack my-channels`, or `sluice reconcile` for that channel.",
    ),
    "ReconcileDlqAlarm": (
        "Look for `the step will be tried again` in the log of ReconcileFunction.",
        (
            "Then `sluice redrive --stack my-channels`, which goes on where it stopped, or "
            "`sluice reconcile`, which begins again once the run has been silent for two hours."
        ),
    ),
    "EventDlqAlarm": (
        (
            "Look at the attributes `ERROR_CODE` and `ERROR_MESSAGE` of a message: "
            "`NO_PERMISSIONS` is the policy of UploadQueue, which somebody has changed. Deploy "
            "again to put it right."
        ),
        "Then `sluice redrive --stack my-channels` sends them on to UploadQueue.",
    ),
    "UploadAgeAlarm": (
        (
            "Is ExtractFunction running? `ExtractErrorsAlarm`, `ExtractThrottlesAlarm` and the "
            "dashboard's “running at once” say so."
        ),
        (
            "If it runs at `ExtractConcurrency` all the time, raise that (and the account's "
            "quota). A first import of a large bucket raises the alarm as well, and ends by "
            "itself."
        ),
    ),
    "SlowUploadAgeAlarm": (
        (
            "Look for `to be read in the slow lane` in the log of ExtractFunction: it names the "
            "channel, the package and the limit that it exceeds. No other package is held up."
        ),
        (
            "`hashing-too-slow`: large packages without digests. Upload them with digests, or "
            "raise `SlowExtractConcurrency` until they are through."
        ),
        (
            "Anything else in great numbers is a publisher's mistake, or an attack: take their "
            "right to upload, and delete the packages. A message about one that is gone takes no "
            "time."
        ),
    ),
    "MergeAgeAlarm": (
        (
            "If many subdirs wait, raise `MergeConcurrency`. If one does, its merges take too "
            "long or fail: see `MergeFailuresAlarm` and the dashboard's “merge duration”."
        ),
        "More `MergeMemorySize` is also more CPU.",
    ),
    "MergeFailuresAlarm": (
        "The log of MergeFunction has the reason, the channel and the subdir.",
        (
            "`Corrupt`: `sluice verify --repair`. `AccessDenied`: the bucket's policy, or its "
            "key. `Unavailable`: S3, which passes."
        ),
    ),
    "WrongStateAlarm": (
        "The logs name both buckets. If a parameter is wrong, correct it and deploy.",
        (
            "If the channel was moved or restored on purpose: `sluice rebind`, see [move or "
            "restore](../how-to/move-or-restore.md)."
        ),
    ),
    "MergeErrorsAlarm": (
        "`Task timed out` or `Runtime.OutOfMemory` in the log: raise `MergeMemorySize`.",
        (
            "`the function cannot be imported`: the layer and the code are of different "
            "releases. Deploy again, or [roll back](../operations.md#roll-a-release-back)."
        ),
    ),
    "IndexLagAlarm": (
        "Was a bucket that existed just taken over? Then nothing.",
        (
            "Otherwise see `UploadAgeAlarm` and `MergeAgeAlarm`: one of them says which side is "
            "slow. If neither is raised, events come late, or reconcile found what no event "
            "told of."
        ),
    ),
    "PackagesRejectedAlarm": (
        "`sluice rejects s3://bucket/channel` lists them, each with its reason and advice.",
        "Tell the publisher. Nothing else is affected.",
    ),
    "ReconcileFailuresAlarm": (
        (
            "The log of ReconcileFunction has a line for each subdir, and the report in "
            "`reconciliations/` the same."
        ),
        (
            "`Corrupt`: `sluice verify --repair`. Another owner: stop the other indexer, or "
            "take its index over with `sluice reconcile --adopt`."
        ),
    ),
    "RemovalsWaitingAlarm": (
        (
            "Deleted by mistake: restore the packages. On purpose: `sluice reconcile --confirm "
            "DIGEST`, with the digest from the log. See [a removal "
            "waits](../operations.md#a-removal-waits)."
        ),
    ),
    "ReconcileErrorsAlarm": (
        (
            "`Runtime.OutOfMemory` in the log: raise `MergeMemorySize`. `the function cannot be "
            "imported`: deploy again, or [roll back](../operations.md#roll-a-release-back)."
        ),
        "Then start another run: `sluice reconcile`.",
    ),
    "ExtractErrorsAlarm": (
        (
            "`Runtime.OutOfMemory` or `Task timed out` in the log: the line before names the "
            "package. After five tries it is a reject and a dead letter. Raise "
            "`ExtractMemorySize` if it is one that should be indexed."
        ),
        (
            "`the function cannot be imported`: deploy again, or [roll "
            "back](../operations.md#roll-a-release-back)."
        ),
    ),
    "ExtractThrottlesAlarm": (
        "`aws lambda get-account-settings` has the account's quota and what is unreserved.",
        (
            "If another application uses it up, give that one reserved concurrency, or raise "
            "the quota (`L-B99A9384`). If it is sluice, lower `ExtractConcurrency`: uploads "
            "then wait in the queue, where nothing counts against them."
        ),
    ),
    "MergeThrottlesAlarm": (
        "As for `ExtractThrottlesAlarm`, with `MergeConcurrency`.",
        (
            "A merge that is throttled for an hour and a half ends in MergeDlq: redrive it "
            "afterwards."
        ),
    ),
    "ReconcileThrottlesAlarm": (
        (
            "As for `ExtractThrottlesAlarm`. Reconcile itself runs a handful of times at once, "
            "at most."
        ),
    ),
    "ReconcileMissingAlarm": (
        (
            "After the first deploy: wait for the first run, or start one with an empty request "
            "(`aws lambda invoke`, payload `{}`)."
        ),
        (
            "Does the schedule exist, and is it enabled? `aws scheduler list-schedules`. Is a "
            "run stuck? `ReconcileDlqAlarm` and `ReconcileErrorsAlarm` say so."
        ),
        (
            "If runs are further apart than `ReconcileOverdueHours`, or take longer, raise "
            "that. 0 turns the alarm off; so does `ReconcileSchedule=none`."
        ),
    ),
    "RepeatedRepairsAlarm": (
        (
            "`sluice status s3://bucket/channel --stack my-channels` says whether the bucket "
            "still sends its events where the stack needs them. S3 replaces the whole "
            "notification configuration of a bucket at once, so another tool's may have taken "
            "sluice's place."
        ),
        (
            "The newest reports in `reconciliations/` have examples: files that were `missing` "
            "or `changed` point to lost events, `behind` to somebody else who writes index "
            "files."
        ),
        ("A first import that takes more than a day raises it, too; then there is nothing to do."),
    ),
    "UploadRuleAlarm": (
        (
            "The policy of UploadQueue no longer lets the rule in, or the queue was deleted by "
            "hand. Deploy again to put it right."
        ),
        "Then see `EventDlqAlarm`; what is in no queue is found by `sluice reconcile`.",
    ),
}
