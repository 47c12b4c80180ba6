"""Which operation a request is counted as."""

from __future__ import annotations

import pytest

from testkit.operations import operation

SQS = {
    "authorization": "AWS4-HMAC-SHA256 Credential=key/20250101/us-east-1/sqs/aws4_request, Signed",
    "x-amz-target": "AmazonSQS.SendMessage",
}
S3 = {"authorization": "AWS4-HMAC-SHA256 Credential=key/20250101/us-east-1/s3/aws4_request, Signed"}


@pytest.mark.parametrize(
    ("method", "target", "headers", "expected"),
    [
        ("GET", "/bucket/a/b.conda", S3, "s3:GetObject"),
        ("GET", "/bucket/a/b.conda", {}, "s3:GetObject"),
        ("HEAD", "/bucket/a/b.conda", S3, "s3:HeadObject"),
        ("PUT", "/bucket/a/b.conda", S3, "s3:PutObject"),
        ("PUT", "/bucket/a/b.conda", {**S3, "x-amz-copy-source": "/c/d"}, "s3:CopyObject"),
        ("PUT", "/bucket/a/b.conda?partNumber=1&uploadId=x", S3, "s3:UploadPart"),
        (
            "PUT",
            "/bucket/a/b.conda?partNumber=1&uploadId=x",
            {**S3, "x-amz-copy-source": "/c/d"},
            "s3:UploadPartCopy",
        ),
        ("DELETE", "/bucket/a/b.conda", S3, "s3:DeleteObject"),
        ("POST", "/bucket?delete", S3, "s3:DeleteObjects"),
        ("GET", "/bucket?list-type=2&prefix=a%2F", S3, "s3:ListObjectsV2"),
        ("GET", "/bucket/?list-type=2", S3, "s3:ListObjectsV2"),
        ("GET", "/bucket?prefix=a", S3, "s3:ListObjects"),
        ("HEAD", "/bucket", S3, "s3:HeadBucket"),
        ("POST", "/", SQS, "sqs:SendMessage"),
        ("OPTIONS", "/bucket/key", S3, "s3:OPTIONS"),
    ],
)
def test_a_request_is_named_by_service_and_operation(
    method: str, target: str, headers: dict[str, str], expected: str
) -> None:
    assert operation(method, target, headers) == expected
