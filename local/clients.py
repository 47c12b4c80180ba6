"""Clients for the local AWS; making one takes longer than most of its requests, so each is kept."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from local.emulator import CREDENTIALS

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


@cache
def s3(endpoint: str, ca_bundle: Path | None) -> S3Client:
    """A client for S3; ``ca_bundle`` is trusted if ``endpoint`` is reached over TLS."""
    return _session().client("s3", endpoint_url=endpoint, verify=_verify(ca_bundle))


@cache
def sqs(endpoint: str, ca_bundle: Path | None) -> SQSClient:
    """A client for SQS."""
    return _session().client("sqs", endpoint_url=endpoint, verify=_verify(ca_bundle))


_PATIENT = Config(read_timeout=900, retries={"total_max_attempts": 1})
"""As long as a function may take, which is not started again meanwhile."""


@cache
def functions(endpoint: str, ca_bundle: Path | None) -> LambdaClient:
    """A client for Lambda."""
    return _session().client(
        "lambda", endpoint_url=endpoint, verify=_verify(ca_bundle), config=_PATIENT
    )


@cache
def cloudformation(endpoint: str, ca_bundle: Path | None) -> CloudFormationClient:
    """A client for CloudFormation."""
    return _session().client("cloudformation", endpoint_url=endpoint, verify=_verify(ca_bundle))


@cache
def iam(endpoint: str, ca_bundle: Path | None) -> IAMClient:
    """A client for IAM."""
    return _session().client("iam", endpoint_url=endpoint, verify=_verify(ca_bundle))


def _verify(ca_bundle: Path | None) -> str | None:
    return str(ca_bundle) if ca_bundle else None


def _session() -> boto3.Session:
    return boto3.Session(
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
    )
