"""Invalidations of deleted files on the distribution in front of a channel bucket.

CloudFront serves a package from its caches until it has expired there, ``PackageCacheMaxAge`` at
most.  An invalidation removes it within seconds to minutes.  Index files need none: they expire
after ``IndexCacheMaxAge``, and shards never change.

About paths: "Specify the files to invalidate", and about their number: "Concurrent invalidation
request maximum", in
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Invalidation.html
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from urllib.parse import quote

import msgspec

from sluice.admin.session.aws import AWS_ERRORS
from sluice.admin.session.stack import Stack
from sluice.errors import Misconfigured
from sluice.limits import INVALIDATION_PATHS_MAX
from sluice.runtime import NewId

_UNENCODED = "/$-_.+!'(),;:@&="
"""Characters besides letters and digits that are not encoded.  CloudFront finds a file only if
exactly those characters are encoded that RFC 1738 calls unsafe.  ``?`` would begin a query, and
``*`` would be a wildcard, so they are encoded, too."""


class Invalidation(msgspec.Struct, frozen=True, kw_only=True):
    """A request to a distribution to drop files from its caches, accepted or not."""

    distribution: str
    """ID of the distribution."""
    paths: list[str]
    """URL-encoded, each with its leading slash."""
    id: str | None
    """ID of the invalidation; ``None`` if CloudFront did not accept it."""
    failure: str | None
    """The reason for the refusal."""
    command: str | None
    """The AWS CLI command for the same request; ``None`` if it was accepted."""


def invalidate(stack: Stack | None, keys: Iterable[str], *, new_id: NewId) -> list[Invalidation]:
    """Request a stack's distribution to drop objects from its caches; does not wait for the end.

    ``keys``: of the channel bucket.  ``new_id`` returns unique strings.  The result is empty if
    there are no keys, no stack, or no distribution in the stack.  A failed request raises nothing:
    the objects are deleted already, so the result has the command that is left to run.
    """
    paths = [path for key in keys for path in invalidation_paths(key)]
    if stack is None or stack.distribution is None:
        return []
    return [
        _create_invalidation(
            stack, stack.distribution, paths[start : start + INVALIDATION_PATHS_MAX], new_id()
        )
        for start in range(0, len(paths), INVALIDATION_PATHS_MAX)
    ]


def invalidation_paths(key: str) -> list[str]:
    """The paths under which a distribution may have cached an object.

    The function ``RewriteForS3`` changes ``+`` in the URI of a request to ``%2B``.  For a file
    whose URI a function changes, CloudFront's documentation recommends to invalidate both.
    """
    path = "/" + quote(key, safe=_UNENCODED).replace("~", "%7E")
    return [path, path.replace("+", "%2B")] if "+" in path else [path]


def _create_invalidation(
    stack: Stack, distribution: str, paths: list[str], reference: str
) -> Invalidation:
    batch = {"Paths": {"Quantity": len(paths), "Items": paths}, "CallerReference": reference}
    try:
        response = stack.aws.cloudfront.create_invalidation(
            DistributionId=distribution, InvalidationBatch=batch
        )
    except (*AWS_ERRORS, Misconfigured) as error:
        return Invalidation(
            distribution=distribution,
            paths=paths,
            id=None,
            failure=str(error),
            command=_cli_command(stack, distribution, paths),
        )
    return Invalidation(
        distribution=distribution,
        paths=paths,
        id=response["Invalidation"]["Id"],
        failure=None,
        command=None,
    )


def _cli_command(stack: Stack, distribution: str, paths: Iterable[str]) -> str:
    url = stack.aws.endpoint_url
    endpoint_options = ["--endpoint-url", url] if url else []
    arguments = ["--distribution-id", distribution, "--paths", *paths]
    return shlex.join(["aws", "cloudfront", "create-invalidation", *endpoint_options, *arguments])
