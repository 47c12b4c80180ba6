"""What the S3 server of ``testkit`` does beyond the contract of ``ObjectStore``: as AWS does."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from hashlib import md5
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import ClientError

from testkit.http1 import LOOPBACK
from testkit.s3_server.process import S3Server, s3_server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "bucket"
PART = bytes(5 * 1024 * 1024)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture
def s3(server: S3Server) -> Iterator[S3Client]:
    """A client of a server that has counted nothing yet."""
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket=BUCKET)
    server.take()
    yield client
    client.close()


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[int, str]:
    response = error.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def begin(s3: S3Client, key: str) -> str:
    return s3.create_multipart_upload(Bucket=BUCKET, Key=key, Metadata={"a": "b"})["UploadId"]


def upload(s3: S3Client, key: str, upload_id: str, number: int, body: bytes) -> str:
    answer = s3.upload_part(
        Bucket=BUCKET, Key=key, UploadId=upload_id, PartNumber=number, Body=body
    )
    return answer["ETag"]


# --- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "body", "where"),
    [
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=-20", b"0123456789", "bytes 0-9/10"),
        ("bytes=8-20", b"89", "bytes 8-9/10"),
    ],
)
def test_a_range_is_served_as_a_part(s3: S3Client, told: str, body: bytes, where: str) -> None:
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"0123456789")
    answer = s3.get_object(Bucket=BUCKET, Key="a", Range=told)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert (answer["Body"].read(), answer["ContentRange"]) == (body, where)


def test_a_range_behind_the_end_is_refused(s3: S3Client) -> None:
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"0123456789")
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=BUCKET, Key="a", Range="bytes=10-12")
    assert refusal(error) == (416, "InvalidRange")


def test_what_was_told_beside_a_body_is_kept(s3: S3Client) -> None:
    s3.put_object(
        Bucket=BUCKET,
        Key="a",
        Body=b"x",
        CacheControl="max-age=60",
        ContentType="text/plain",
        Metadata={"who": "me"},
    )
    answer = s3.head_object(Bucket=BUCKET, Key="a")
    told = answer["CacheControl"], answer["ContentType"], answer["Metadata"]
    assert told == ("max-age=60", "text/plain", {"who": "me"})
    assert "ContentEncoding" not in answer


# --- writing under a condition ----------------------------------------------------------------


def test_a_condition_on_a_key_that_is_missing_is_a_404(s3: S3Client) -> None:
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=BUCKET, Key="missing", Body=b"x", IfMatch='"0"')
    assert refusal(error) == (404, "NoSuchKey")


def test_a_condition_that_does_not_hold_is_a_412(s3: S3Client) -> None:
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"x")
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=BUCKET, Key="a", Body=b"y", IfMatch='"0"')
    assert refusal(error) == (412, "PreconditionFailed")
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=BUCKET, Key="a", Body=b"y", IfNoneMatch="*")
    assert refusal(error) == (412, "PreconditionFailed")


def test_chunks_and_trailers_of_sigv4_are_no_part_of_the_body(s3: S3Client) -> None:
    chunked = (
        b"5;chunk-signature=0\r\nhello\r\n3\r\n yo\r\n0\r\nx-amz-checksum-crc32:5K5Niw==\r\n\r\n"
    )
    head = (
        f"PUT /{BUCKET}/chunked HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        "Content-Encoding: aws-chunked\r\nx-amz-decoded-content-length: 8\r\n"
        "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n"
        f"Content-Length: {len(chunked)}\r\n\r\n"
    )
    port = int(s3.meta.endpoint_url.rpartition(":")[2])
    with socket.create_connection((LOOPBACK, port)) as connection:
        connection.sendall(head.encode() + chunked)
        assert b" 200 OK\r\n" in connection.recv(10_000)
    answer = s3.get_object(Bucket=BUCKET, Key="chunked")
    assert (answer["Body"].read(), answer["ETag"]) == (
        b"hello yo",
        f'"{md5(b"hello yo", usedforsecurity=False).hexdigest()}"',
    )


def test_a_body_of_unknown_length_is_taken_whole(server: S3Server, s3: S3Client) -> None:
    connection = HTTPConnection(LOOPBACK, server.port)
    pieces = iter([b"hello", b" yo"])
    connection.request("PUT", f"/{BUCKET}/pieces", pieces, encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()
    assert s3.get_object(Bucket=BUCKET, Key="pieces")["Body"].read() == b"hello yo"


# --- uploads in parts -------------------------------------------------------------------------


def test_parts_that_are_sent_and_parts_that_are_copied_make_one_object(s3: S3Client) -> None:
    source = s3.put_object(Bucket=BUCKET, Key="source", Body=PART + b"rest")["ETag"]
    name = begin(s3, "whole")
    copied = s3.upload_part_copy(
        Bucket=BUCKET,
        Key="whole",
        UploadId=name,
        PartNumber=1,
        CopySource={"Bucket": BUCKET, "Key": "source"},
        CopySourceRange=f"bytes=0-{len(PART) - 1}",
        CopySourceIfMatch=source,
    )["CopyPartResult"]["ETag"]
    sent = upload(s3, "whole", name, 2, b"tail")
    parts = [{"PartNumber": 1, "ETag": copied}, {"PartNumber": 2, "ETag": sent}]
    done = s3.complete_multipart_upload(
        Bucket=BUCKET,
        Key="whole",
        UploadId=name,
        MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
        IfNoneMatch="*",
    )
    digests = b"".join(md5(one, usedforsecurity=False).digest() for one in (PART, b"tail"))
    assert done["ETag"] == f'"{md5(digests, usedforsecurity=False).hexdigest()}-2"'
    answer = s3.get_object(Bucket=BUCKET, Key="whole")
    assert answer["Body"].read() == PART + b"tail"
    assert (answer["ETag"], answer["Metadata"]) == (done["ETag"], {"a": "b"})


def test_another_version_is_not_copied_from(s3: S3Client) -> None:
    s3.put_object(Bucket=BUCKET, Key="source", Body=b"x")
    with pytest.raises(ClientError) as error:
        s3.upload_part_copy(
            Bucket=BUCKET,
            Key="copy",
            UploadId=begin(s3, "copy"),
            PartNumber=1,
            CopySource={"Bucket": BUCKET, "Key": "source"},
            CopySourceIfMatch='"0"',
        )
    assert refusal(error) == (412, "PreconditionFailed")


def test_an_upload_in_parts_is_refused_where_its_condition_does_not_hold(s3: S3Client) -> None:
    s3.put_object(Bucket=BUCKET, Key="taken", Body=b"x")
    name = begin(s3, "taken")
    part = upload(s3, "taken", name, 1, b"y")
    with pytest.raises(ClientError) as error:
        s3.complete_multipart_upload(
            Bucket=BUCKET,
            Key="taken",
            UploadId=name,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]},
            IfMatch='"0"',
        )
    assert refusal(error) == (412, "PreconditionFailed")
    assert s3.get_object(Bucket=BUCKET, Key="taken")["Body"].read() == b"x"


def test_only_the_last_part_may_be_small(s3: S3Client) -> None:
    name = begin(s3, "small")
    parts = [
        {"PartNumber": number, "ETag": upload(s3, "small", name, number, b"y")} for number in (1, 2)
    ]
    with pytest.raises(ClientError) as error:
        s3.complete_multipart_upload(
            Bucket=BUCKET,
            Key="small",
            UploadId=name,
            MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
        )
    assert refusal(error) == (400, "EntityTooSmall")


def test_an_upload_that_was_aborted_is_gone(s3: S3Client) -> None:
    name = begin(s3, "gone")
    s3.abort_multipart_upload(Bucket=BUCKET, Key="gone", UploadId=name)
    with pytest.raises(ClientError) as error:
        upload(s3, "gone", name, 1, b"x")
    assert refusal(error) == (404, "NoSuchUpload")


# --- listing ----------------------------------------------------------------------------------


def test_folders_are_rolled_up_and_pages_go_on_behind_them(s3: S3Client) -> None:
    for key in ("l/a", "l/b/1", "l/b/2", "l/c", "l/d/1", "l/e+f g"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix="l/", Delimiter="/", PaginationConfig={"PageSize": 2}
    )
    told = [
        (
            [found["Key"] for found in page.get("Contents", ())],
            [found["Prefix"] for found in page.get("CommonPrefixes", ())],
        )
        for page in pages
    ]
    assert told == [(["l/a"], ["l/b/"]), (["l/c"], ["l/d/"]), (["l/e+f g"], [])]


def test_many_keys_stay_in_order_whatever_is_added_and_removed(
    server: S3Server, s3: S3Client
) -> None:
    """More of them than one block holds."""
    numbers = [number * 7919 % 10_007 for number in range(10_007)]
    server.load(["many"], ((f"{number:05}", b"x") for number in numbers))
    for number in numbers[::100]:
        s3.delete_object(Bucket="many", Key=f"{number:05}")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="many")
    listed = [found["Key"] for page in pages for found in page["Contents"]]
    kept = {*numbers} - {*numbers[::100]}
    assert listed == [f"{number:05}" for number in sorted(kept)]


# --- what is missing --------------------------------------------------------------------------


def test_a_bucket_that_is_missing_is_told_from_a_key(s3: S3Client) -> None:
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket="none", Key="a")
    assert refusal(error) == (404, "NoSuchBucket")
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=BUCKET, Key="none")
    assert refusal(error) == (404, "NoSuchKey")


def test_what_is_not_known_is_not_done_in_silence(s3: S3Client) -> None:
    with pytest.raises(ClientError) as error:
        s3.get_bucket_policy(Bucket=BUCKET)
    assert refusal(error)[0] == 501


# --- the journal ------------------------------------------------------------------------------


def test_requests_are_counted_with_the_bytes_of_bodies(server: S3Server, s3: S3Client) -> None:
    s3.put_object(Bucket=BUCKET, Key="counted", Body=b"12345")
    s3.get_object(Bucket=BUCKET, Key="counted")["Body"].read()
    s3.head_object(Bucket=BUCKET, Key="counted")
    counts = server.take().counts
    told = {
        name: (count.requests, count.bytes_up, count.bytes_down) for name, count in counts.items()
    }
    assert told == {
        "s3:PutObject": (1, 5, 0),
        "s3:GetObject": (1, 0, 5),
        "s3:HeadObject": (1, 0, 0),
    }
    assert server.take().counts == {}


def test_writes_that_landed_are_remembered_with_their_time(server: S3Server, s3: S3Client) -> None:
    s3.put_object(Bucket=BUCKET, Key="first", Body=b"x")
    s3.put_object(Bucket=BUCKET, Key="second", Body=b"x")
    with pytest.raises(ClientError):
        s3.put_object(Bucket=BUCKET, Key="third", Body=b"x", IfMatch='"0"')
    taken = server.take()
    assert list(taken.written) == [f"{BUCKET}/first", f"{BUCKET}/second"]
    first, second = taken.written.values()
    assert taken.first_answer is not None
    assert taken.first_answer <= first < second


def test_every_request_waits_for_the_latency(server: S3Server, s3: S3Client) -> None:
    s3.put_object(Bucket=BUCKET, Key="slow", Body=b"x")
    server.take(latency_ms=50)
    for _ in range(3):
        s3.head_object(Bucket=BUCKET, Key="slow")
    s3.put_object(Bucket=BUCKET, Key="slow", Body=b"y")
    taken = server.take()
    assert taken.first_answer is not None
    assert taken.written[f"{BUCKET}/slow"] - taken.first_answer > 0.15


def test_what_is_loaded_is_in_every_bucket_named_and_not_counted(
    server: S3Server, s3: S3Client
) -> None:
    server.load(["one", "two"], [("a/b+c", b"x"), ("a/d", b"")])
    assert server.take().counts == {}
    for bucket in ("one", "two"):
        assert s3.get_object(Bucket=bucket, Key="a/b+c")["Body"].read() == b"x"
        assert s3.head_object(Bucket=bucket, Key="a/d")["ContentLength"] == 0


def test_objects_can_be_dated_back(server: S3Server, s3: S3Client) -> None:
    server.load(["aged"], [("heads/a", b"1"), ("heads/b", b"2"), ("headstone", b"3")])
    before = {info["Key"]: info for info in s3.list_objects_v2(Bucket="aged")["Contents"]}
    server.age("aged", "heads/", seconds=60)
    after = {info["Key"]: info for info in s3.list_objects_v2(Bucket="aged")["Contents"]}
    aged = {
        key: (before[key]["LastModified"] - after[key]["LastModified"]).total_seconds()
        for key in before
    }
    assert aged == {"heads/a": 60, "heads/b": 60, "headstone": 0}
    assert [info["ETag"] for info in after.values()] == [info["ETag"] for info in before.values()]


def test_a_copy_of_a_bucket_stays_as_it_was(server: S3Server, s3: S3Client) -> None:
    server.load(["origin"], [("a", b"x"), ("b", b"y")])
    server.copy("origin", "copied")
    server.delete("origin", ["a"])
    server.load(["origin"], [("c", b"z")])
    told = s3.list_objects_v2(Bucket="copied")["Contents"]
    assert [found["Key"] for found in told] == ["a", "b"]
    server.copy("copied", "origin")
    told = s3.list_objects_v2(Bucket="origin")["Contents"]
    assert [found["Key"] for found in told] == ["a", "b"]
    assert server.read("origin", "a") == b"x"


def test_a_bucket_that_was_dropped_is_gone(server: S3Server) -> None:
    server.create("dropped")
    server.drop("dropped")
    with pytest.raises(RuntimeError, match="answered with 404"):
        server.read("dropped", "a")
