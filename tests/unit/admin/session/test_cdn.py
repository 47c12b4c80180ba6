"""Files of a channel leave the CDN's caches when they are removed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from sluice.admin.changes.remove import Removal, remove
from sluice.admin.session.aws import Aws
from sluice.admin.session.cdn import Invalidation, invalidate, invalidation_paths
from sluice.admin.session.stack import Stack
from sluice.errors import Misconfigured
from sluice.limits import INVALIDATION_PATHS_MAX
from tests.support.admin_channel import admin_channel
from tests.support.fake_stack import REGION, stack_of, with_clients
from tests.support.staging_records import A, B
from tests.support.subdir_world import World

ID = "EDFDVBD632BHDS5"
OUTPUTS = {"DistributionArn": f"arn:aws:cloudfront::123456789012:distribution/{ID}"}
FOLDER = "/Conda/Default/linux-64"


class FakeCloudFront:
    """Takes invalidations, or refuses each with an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.accepted: list[tuple[str, list[str]]] = []
        self.references: list[str] = []
        self._error = error

    def create_invalidation(
        self,
        *,
        DistributionId: str,  # noqa: N803 - AWS's
        InvalidationBatch: Mapping[str, Any],  # noqa: N803 - AWS's
    ) -> Mapping[str, Any]:
        if self._error:
            raise self._error
        paths = InvalidationBatch["Paths"]
        assert paths["Quantity"] == len(paths["Items"])
        self.accepted.append((DistributionId, paths["Items"]))
        self.references.append(InvalidationBatch["CallerReference"])
        return {"Invalidation": {"Id": f"I{len(self.accepted)}"}}


def behind(cloudfront: FakeCloudFront, *, endpoint_url: str | None = None) -> Stack:
    """A stack with a distribution."""
    aws = Aws(region=REGION, endpoint_url=endpoint_url)
    return stack_of(with_clients(aws, cloudfront=cloudfront), OUTPUTS)


def refused() -> ClientError:
    told: Any = {"Code": "AccessDenied", "Message": "not authorized"}
    return ClientError({"Error": told}, "CreateInvalidation")


def indexed() -> World:
    world = World()
    world.add(A)
    world.add(B)
    world.merge()
    return world


def take_away(world: World, stack: Stack | None, *files: str) -> Removal:
    def pause(_seconds: float) -> None:
        world.deliver()

    return remove(replace(admin_channel(world), stack=stack), world.subdir, files, pause=pause)


def made(paths: list[str], number: int = 1) -> Invalidation:
    return Invalidation(distribution=ID, paths=paths, id=f"I{number}", failure=None, command=None)


# --- what remove does -------------------------------------------------------------------------


def test_packages_are_invalidated_after_they_were_deleted() -> None:
    world = indexed()
    world.tick()

    class Watching(FakeCloudFront):
        def create_invalidation(self, **request: Any) -> Mapping[str, Any]:
            # Before that, CloudFront would fetch them again.
            assert world.subdir.file_key(A) not in world.channel.objects
            return super().create_invalidation(**request)

    cloudfront = Watching()
    done = take_away(world, behind(cloudfront), B, A)
    assert cloudfront.accepted == [(ID, [f"{FOLDER}/{A}", f"{FOLDER}/{B}"])]
    assert done.invalidations == [made([f"{FOLDER}/{A}", f"{FOLDER}/{B}"])]


def test_what_was_deleted_before_or_uploaded_again_is_invalidated_too() -> None:
    world = indexed()
    world.remove(A)
    world.tick()
    cloudfront = FakeCloudFront()
    uploaded: list[str] = []

    def pause(_seconds: float) -> None:
        world.deliver()
        if not uploaded:
            uploaded.append(B)
            world.add(B, b"better")

    channel = replace(admin_channel(world), stack=behind(cloudfront))
    done = remove(channel, world.subdir, [A, B], pause=pause)
    assert (done.gone, done.overwritten) == ([A], [B])
    assert cloudfront.accepted == [(ID, [f"{FOLDER}/{A}", f"{FOLDER}/{B}"])]


@pytest.mark.parametrize("stack", [None, stack_of(Aws(region=REGION))], ids=["no stack", "no CDN"])
def test_without_a_cdn_nothing_is_invalidated(stack: Stack | None) -> None:
    world = indexed()
    world.tick()
    done = take_away(world, stack, A)
    assert (done.deleted, done.invalidations) == ([A], [])


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (
            refused(),
            (
                "An error occurred (AccessDenied) when calling the CreateInvalidation operation: "
                "not authorized"
            ),
        ),
        (Misconfigured("no AWS credentials"), "no AWS credentials"),
    ],
    ids=["no right to", "no client"],
)
def test_packages_are_removed_and_the_command_is_told_where_it_cannot_be(
    error: Exception, failure: str
) -> None:
    world = indexed()
    world.tick()
    done = take_away(world, behind(FakeCloudFront(error)), A)
    world.deliver()
    assert done.deleted == [A]
    assert list(world.entries()) == [B]
    assert done.invalidations == [
        Invalidation(
            distribution=ID,
            paths=[f"{FOLDER}/{A}"],
            id=None,
            failure=failure,
            command=f"aws cloudfront create-invalidation --distribution-id {ID} "
            f"--paths {FOLDER}/{A}",
        )
    ]


# --- the request ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "paths"),
    [
        ("team/linux-64/a-1.0-0.conda", ["/team/linux-64/a-1.0-0.conda"]),
        ("noarch/a-1!1.0_x-0.tar.bz2", ["/noarch/a-1!1.0_x-0.tar.bz2"]),
        # The function of the distribution writes a plus as %2B.
        (
            "a/linux-64/torch-2.1+cpu+x-0.conda",
            ["/a/linux-64/torch-2.1+cpu+x-0.conda", "/a/linux-64/torch-2.1%2Bcpu%2Bx-0.conda"],
        ),
        ("dépôt/~me/a b/noarch/x", ["/d%C3%A9p%C3%B4t/%7Eme/a%20b/noarch/x"]),
        (r"""%?#*<>"{}|\^[]`""", ["/%25%3F%23%2A%3C%3E%22%7B%7D%7C%5C%5E%5B%5D%60"]),
        ("$-_.!'(),;:@&=", ["/$-_.!'(),;:@&="]),
    ],
)
def test_paths_are_encoded_where_cloudfront_says_so_and_nowhere_else(
    key: str, paths: list[str]
) -> None:
    assert invalidation_paths(key) == paths


def test_no_request_has_more_paths_than_may_be_in_progress() -> None:
    cloudfront = FakeCloudFront()
    keys = [f"noarch/a-{number}-0.conda" for number in range(2 * INVALIDATION_PATHS_MAX + 1)]
    numbers = count()
    done = invalidate(behind(cloudfront), keys, new_id=lambda: str(next(numbers)))
    assert [len(paths) for _, paths in cloudfront.accepted] == [3000, 3000, 1]
    assert [path for _, paths in cloudfront.accepted for path in paths] == [
        f"/{key}" for key in keys
    ]
    assert cloudfront.references == ["0", "1", "2"]
    assert done == [
        made(paths, number) for number, (_, paths) in enumerate(cloudfront.accepted, start=1)
    ]


def test_the_command_can_be_pasted_into_a_shell() -> None:
    stack = behind(FakeCloudFront(refused()), endpoint_url="http://127.0.0.1:4566")
    (told,) = invalidate(stack, ["it's $HOME/noarch/a-1!1-0.conda"], new_id=str)
    assert told.command is not None
    assert shlex.split(told.command) == [
        *("aws", "cloudfront", "create-invalidation"),
        *("--endpoint-url", "http://127.0.0.1:4566", "--distribution-id", ID),
        *("--paths", "/it's%20$HOME/noarch/a-1!1-0.conda"),
    ]
    assert "'" in told.command  # quoted: the shell must not look into it


@pytest.mark.usefixtures("moto")
def test_the_client_of_a_person_makes_the_request_from_any_region() -> None:
    cloudfront = boto3.client("cloudfront", region_name="us-east-1")
    distribution = cloudfront.create_distribution(DistributionConfig=DISTRIBUTION)["Distribution"]
    stack = stack_of(Aws(region="eu-central-1"), {"DistributionArn": distribution["ARN"]})
    (told,) = invalidate(stack, ["team/linux-64/torch-2.1+cpu-0.conda"], new_id=lambda: "once")
    batch = cloudfront.get_invalidation(DistributionId=distribution["Id"], Id=told.id)[
        "Invalidation"
    ]["InvalidationBatch"]
    assert batch["CallerReference"] == "once"
    assert batch["Paths"]["Items"] == [
        "/team/linux-64/torch-2.1+cpu-0.conda",
        "/team/linux-64/torch-2.1%2Bcpu-0.conda",
    ]
    # One that is not there, or not theirs: the request fails, the person gets a command.
    elsewhere = stack_of(Aws(region="eu-central-1"), OUTPUTS)
    (failed,) = invalidate(elsewhere, ["noarch/a-1-0.conda"], new_id=lambda: "twice")
    assert failed.failure is not None
    assert "NoSuchDistribution" in failed.failure


DISTRIBUTION: dict[str, Any] = {
    "CallerReference": "test",
    "Comment": "",
    "Enabled": True,
    "Origins": {
        "Quantity": 1,
        "Items": [
            {
                "Id": "channels",
                "DomainName": "channels.s3.us-east-1.amazonaws.com",
                "S3OriginConfig": {"OriginAccessIdentity": ""},
            }
        ],
    },
    "DefaultCacheBehavior": {
        "TargetOriginId": "channels",
        "ViewerProtocolPolicy": "redirect-to-https",
        "CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6",
    },
}
