"""What counts as a package that was lost, and when a load has failed."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.load import Difference, Outcome, differences, problems
from testkit.counts import Count

FILE, OTHER = ("d41d8cd98f00b204e9800998ecf8427e", 0), ("0cc175b9c0f1b6a831c399e269772661", 1)
GOOD = Outcome(
    packages=10,
    subdirs=1,
    uploaded_s=1.0,
    indexed_s=2.0,
    lost=[],
    left={"UploadDlq": 0, "staging": 0},
    requests={"s3:GetObject": Count(60), "s3:PutObject": Count(60), "sqs:SendMessage": Count(10)},
    merges=[],
    generations={"noarch": 1},
)


def test_whatever_is_not_the_same_in_all_three_places_is_a_difference() -> None:
    uploaded = {"same": FILE, "unlisted": FILE, "unindexed": FILE, "stale": FILE}
    listed = {"same": FILE, "unindexed": FILE, "stale": FILE}
    indexed = {"same": FILE, "unlisted": FILE, "stale": OTHER, "ghost": FILE}
    assert differences(uploaded, listed, indexed) == [
        Difference("ghost", None, None, FILE),
        Difference("stale", FILE, FILE, OTHER),
        Difference("unindexed", FILE, FILE, None),
        Difference("unlisted", FILE, None, FILE),
    ]


def test_twelve_s3_requests_per_package_are_as_many_as_there_may_be() -> None:
    assert problems(GOOD) == []
    one_more = {**GOOD.requests, "s3:HeadObject": Count(1)}
    assert problems(replace(GOOD, requests=one_more)) == ["12.10 S3 requests per package"]


def test_what_is_lost_or_left_behind_is_told_one_by_one() -> None:
    lost = [Difference("noarch/a-1-0.conda", FILE, FILE, None)]
    told = problems(replace(GOOD, lost=lost, left={"UploadDlq": 1, "staging": 2}))
    assert told == [
        f"not the same everywhere: {lost[0]}",
        "1 left in UploadDlq",
        "2 left in staging",
    ]
