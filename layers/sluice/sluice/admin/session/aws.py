"""Clients for the AWS account, or the S3-compatible server, that a person's settings select.

Lambda functions have only their environment.  People have profiles, single sign-on and files with
endpoints, so this module uses botocore's session, which supports all of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from sluice.errors import Misconfigured
from sluice.limits import (
    ATTEMPTS_MAX,
    CONNECT_TIMEOUT_SECONDS,
    INVOCATION_SECONDS_MAX,
    READ_TIMEOUT_SECONDS,
    UNREACHABLE_ATTEMPTS_MAX,
)
from sluice.storage import s3_client
from sluice.storage.conditional_writes import ConditionalWrites
from sluice.storage.s3_client import Endpoint
from sluice.storage.s3_failures import classify, explain_failure
from sluice.storage.s3_store import S3Store, aws_conditional_writes

if TYPE_CHECKING:
    from botocore.credentials import Credentials
    from botocore.session import Session
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

_CREDENTIAL_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_REDIRECTING_VARIABLES = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
)
_CONFIG_FILES = (
    ("AWS_CONFIG_FILE", "~/.aws/config"),
    ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
)
"""The variable with the path of each file, and the default path."""
AWS_ERRORS = (BotoCoreError, ClientError, ResponseParserError)
"""Errors of boto3's clients."""


def is_access_denied(error: Exception) -> bool:
    """Whether an error of S3 is for want of a right."""
    return isinstance(error, ClientError) and error.response["Error"]["Code"] == "AccessDenied"


class CloudFrontClient(Protocol):
    """The used part of boto3's client; boto3's type stubs for it are not installed."""

    def create_invalidation(
        self,
        *,
        DistributionId: str,  # noqa: N803 - AWS's
        InvalidationBatch: Mapping[str, Any],  # noqa: N803 - AWS's
    ) -> Mapping[str, Any]:
        """See boto3."""
        ...


@dataclass(frozen=True)
class Aws:
    """Creates AWS clients.  Settings of ``None`` come from the environment and AWS's files."""

    endpoint_url: str | None = None
    """Endpoint of S3 and of the other services."""
    region: str | None = None
    profile: str | None = None
    path_style: bool | None = None
    """The setting of ``s3_client.Endpoint``."""

    def bucket(
        self,
        name: str,
        conditional_writes: Callable[[], ConditionalWrites] | None = None,
        sign_payloads: Callable[[], bool] | None = None,
    ) -> S3Store:
        """A bucket; raises ``Misconfigured`` if there is no region or there are no credentials.

        ``conditional_writes``: how its server implements them, see ``S3Store``; ``None``: as AWS
        does.  ``sign_payloads``: whether signatures cover bodies; ``None``: on any S3 but AWS's,
        because others may ignore checksums.
        """
        return S3Store(
            self._s3,
            name,
            conditional_writes or aws_conditional_writes,
            sign_payloads or self._is_not_aws,
        )

    @property
    def custom_s3_url(self) -> str | None:
        """URL of an S3 that is not AWS's; ``None`` on AWS."""
        return self._endpoint.url

    def _is_not_aws(self) -> bool:
        return self.custom_s3_url is not None

    @property
    def endpoint_or_region(self) -> str:
        """The account's location, for messages."""
        return self.endpoint_url or self._region

    def explain(self, error: Exception) -> str:
        """The reason of one of ``AWS_ERRORS``, with the endpoint and what to change."""
        url: str = getattr(error, "kwargs", {}).get("endpoint_url") or self.endpoint_url or ""
        if isinstance(error, ClientError) or not url:
            return str(error)
        parts = urlsplit(url)
        server = f"{parts.scheme}://{parts.netloc}"
        if isinstance(error, ResponseParserError):
            return (
                f"the response of {server} is not one of AWS. Check the endpoint (--endpoint-url)"
            )
        return explain_failure(error, server, is_aws=not self.endpoint_url)

    @cached_property
    def cloudformation(self) -> CloudFormationClient:
        """A client for stacks."""
        client: CloudFormationClient = self._client("cloudformation")
        return client

    @cached_property
    def cloudfront(self) -> CloudFrontClient:
        """A client for CloudFront."""
        client: CloudFrontClient = self._client("cloudfront")
        return client

    @cached_property
    def s3_configuration(self) -> S3Client:
        """A client for the configuration of buckets; ``bucket`` is for objects."""
        style = {None: "auto", True: "path", False: "virtual"}[self._path_style]
        client: S3Client = self._client("s3", s3={"addressing_style": style})
        return client

    @cached_property
    def sqs(self) -> SQSClient:
        """A client for queues."""
        client: SQSClient = self._client("sqs")
        return client

    @cached_property
    def functions(self) -> LambdaClient:
        """A client for Lambda.  It waits for invocations, and does not retry without a response."""
        client: LambdaClient = self._client(
            "lambda", read_timeout=INVOCATION_SECONDS_MAX, retries={"total_max_attempts": 1}
        )
        return client

    @cached_property
    def _s3(self) -> s3_client.S3Client:
        if self._is_configured_by_env:
            return s3_client.make_s3_client(self._endpoint)
        ca_bundle = self._session.get_config_variable("ca_bundle")
        return s3_client.make_s3_client(self._endpoint, self._credentials, ca_bundle=ca_bundle)

    @cached_property
    def _endpoint(self) -> Endpoint:
        url = self._s3_url_from_env if self._is_configured_by_env else self._s3_url
        return Endpoint(self._region, url, self._path_style)

    @property
    def _path_style(self) -> bool | None:
        """The setting, or that of the profile: ``s3.addressing_style`` of the AWS CLI's files."""
        if self.path_style is not None or self._is_configured_by_env:
            return self.path_style
        s3 = self._session.get_scoped_config().get("s3")
        style = s3.get("addressing_style") if isinstance(s3, dict) else None
        return {"path": True, "virtual": False}.get(style or "auto")

    @property
    def _is_configured_by_env(self) -> bool:
        """Whether the environment alone has the settings, as in a CI job.

        botocore's session, whose import takes longer than a request, is then not needed.
        """
        env = os.environ
        return (
            all(env.get(variable) for variable in _CREDENTIAL_VARIABLES)
            and not any(env.get(variable) for variable in _REDIRECTING_VARIABLES)
            and not self.profile
            and not any(Path(_expand_user(env.get(*file))).exists() for file in _CONFIG_FILES)
        )

    @property
    def _s3_url_from_env(self) -> str | None:
        url_from_env = Endpoint.from_env({**os.environ, "AWS_REGION": self._region}).url
        return self.endpoint_url.rstrip("/") if self.endpoint_url else url_from_env

    @cached_property
    def _session(self) -> Session:
        # Half a second that no help page has to wait for.
        from botocore.session import Session  # noqa: PLC0415

        session = Session(profile=self.profile)
        try:
            session.get_scoped_config()
        except BotoCoreError as error:  # there is no such profile, or a file is invalid
            raise Misconfigured(str(error)) from error
        return session

    @cached_property
    def _credentials(self) -> Credentials:
        try:
            credentials = self._session.get_credentials()
            if credentials is not None:
                credentials.get_frozen_credentials()  # an expired login raises its error at once
                return credentials
        except BotoCoreError as error:
            raise Misconfigured(f"no AWS credentials: {error}") from error
        raise Misconfigured(
            "no AWS credentials: set --profile, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )

    @property
    def _region(self) -> str:
        # botocore knows only the longer name, all other SDKs the shorter one.
        region: str | None = (
            self.region
            or os.environ.get("AWS_REGION")
            or os.environ.get("AWS_DEFAULT_REGION")
            or self._session.get_config_variable("region")
        )
        if not region:
            raise Misconfigured(
                "no region: set --region or AWS_REGION (us-east-1 works with most S3-compatible "
                "servers)"
            )
        return region

    @property
    def _s3_url(self) -> str | None:
        """URL of an S3 that is not AWS's, as botocore's own client would find it."""
        from botocore.configprovider import ConfiguredEndpointProvider  # noqa: PLC0415

        session = self._session
        url = self.endpoint_url
        if not url and not session.get_config_variable("ignore_configured_endpoint_urls"):
            url = ConfiguredEndpointProvider(
                full_config=session.full_config,
                scoped_config=session.get_scoped_config(),
                client_name="s3",
            ).provide()
        return url.rstrip("/") if url else None

    def _client(self, service: str, **config: Any) -> Any:
        from botocore.config import Config  # noqa: PLC0415

        defaults: dict[str, Any] = {
            "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS_MAX},
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "read_timeout": READ_TIMEOUT_SECONDS,
        }
        if self.endpoint_url:
            s3_client.check_server_url(self.endpoint_url)
        try:
            client = self._session.create_client(
                service,
                region_name=self._region,
                endpoint_url=self.endpoint_url,
                config=Config(**(defaults | config)),
            )
        except BotoCoreError as error:
            raise Misconfigured(str(error)) from error
        if ca_file := self._session.get_config_variable("ca_bundle"):
            s3_client.check_ca_file(ca_file, client.meta.endpoint_url)
        client.meta.events.register_first(
            f"needs-retry.{service}", partial(_give_up, client.meta.endpoint_url)
        )
        return client


def _give_up(
    url: str, *, caught_exception: Exception | None, attempts: int, **_event: object
) -> None:
    """Raise an error of boto3 that no further attempt cures, instead of retrying for a while."""
    if caught_exception is None:
        return
    cause = classify(caught_exception, url)
    if cause.is_final or (cause.is_unreachable and attempts >= UNREACHABLE_ATTEMPTS_MAX):
        raise caught_exception


def _expand_user(path: str) -> str:
    # As botocore does: not every user has a home, for which pathlib raises.
    return os.path.expanduser(path)  # noqa: PTH111
