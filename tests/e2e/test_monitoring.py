"""Alarms and dashboard as they are deployed: do they name what is there?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from local.emulator import CREDENTIALS, REGION
from testkit.deployed import Deployed
from tests.support.template import RESOURCES, of_type

if TYPE_CHECKING:
    from local.stack import Stack


@pytest.fixture(scope="module")
def cloudwatch(deployed: Deployed) -> Any:  # has no stubs here
    return boto3.client(
        "cloudwatch",
        endpoint_url=deployed.stack.endpoint,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


def queues_and_functions(stack: Stack) -> set[str]:
    urls = (
        *(stack.upload_queue_url, stack.upload_dlq_url),
        *(stack.slow_upload_queue_url, stack.slow_upload_dlq_url),
        *(stack.merge_queue_url, stack.merge_dlq_url),
        *(stack.reconcile_queue_url, stack.reconcile_dlq_url),
    )
    names = {url.rpartition("/")[2] for url in urls}
    return names | {stack.extract_function, stack.merge_function, stack.reconcile_function}


def test_every_alarm_watches_something_of_this_stack_and_tells_nobody_unasked(
    deployed: Deployed, cloudwatch: Any
) -> None:
    found = cloudwatch.describe_alarms()["MetricAlarms"]
    bucket_is_ours = [
        name for name in of_type("AWS::CloudWatch::Alarm") if "Condition" not in RESOURCES[name]
    ]
    assert len(found) == len(bucket_is_ours)
    assert [one["AlarmName"] for one in found if one["AlarmActions"] or one["OKActions"]] == []
    watched = {
        dimension["Value"]
        for one in found
        if one["Namespace"].startswith("AWS/")
        for dimension in one["Dimensions"]
    }
    assert watched < queues_and_functions(deployed.stack)


def test_the_dashboard_shows_this_stack(deployed: Deployed, cloudwatch: Any) -> None:
    (entry,) = cloudwatch.list_dashboards()["DashboardEntries"]
    body = cloudwatch.get_dashboard(DashboardName=entry["DashboardName"])["DashboardBody"]
    assert "${" not in body
    shown = {
        metric[3]
        for widget in json.loads(body)["widgets"]
        for metric in widget["properties"].get("metrics", ())
        if metric[0].startswith("AWS/")
    }
    # Of the rule and its dead letters, which only a bucket that existed has, there is nothing.
    assert shown == queues_and_functions(deployed.stack) | {"none"}
    (alarms,) = (
        widget["properties"]["alarms"]
        for widget in json.loads(body)["widgets"]
        if widget["type"] == "alarm"
    )
    found = cloudwatch.describe_alarms()["MetricAlarms"]
    assert sorted(alarms) == sorted(one["AlarmArn"] for one in found)
