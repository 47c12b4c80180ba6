"""Two ways of reading a listing, which must agree wherever both read it."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from sluice.storage import s3_xml

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    "<ListBucketResult><Name>b</Name><Prefix>team/</Prefix><MaxKeys>1000</MaxKeys>"
)
_ENCODED = "<EncodingType>url</EncodingType>"
_TAIL = "</ListBucketResult>"


def contents(key: str, *, checksum: str = "", etag: str = "&quot;abc&quot;") -> str:
    return (
        f"<Contents><Key>{key}</Key><LastModified>2026-11-27T12:00:00.000Z</LastModified>"
        f"<ETag>{etag}</ETag>{checksum}<Size>17</Size><StorageClass>STANDARD</StorageClass>"
        "</Contents>"
    )


def document(*parts: str, more: str = "<IsTruncated>false</IsTruncated>") -> bytes:
    return (_HEAD + _ENCODED + more + "".join(parts) + _TAIL).encode()


@pytest.mark.parametrize(
    "body",
    [
        document(),
        document(contents("team/noarch/a-1-0.conda")),
        document(
            contents("team/a%2Bb-1%211.0-0.conda"),
            contents("team/caf%C3%A9+x"),
            contents(
                "team/c",
                checksum="<ChecksumAlgorithm>CRC32</ChecksumAlgorithm>"
                "<ChecksumType>FULL_OBJECT</ChecksumType>",
                etag='"raw-2"',
            ),
        ),
        document("<CommonPrefixes><Prefix>team/shards/</Prefix></CommonPrefixes>", contents("k")),
        document(
            contents("k"),
            more="<IsTruncated>true</IsTruncated>"
            "<NextContinuationToken>a&amp;b==</NextContinuationToken>",
        ),
        document(contents("k")).replace(b"><", b">\n  <"),
    ],
)
def test_both_ways_read_the_same(body: bytes) -> None:
    assert s3_xml.fast_parse_listing(body) == s3_xml.parse_listing(ET.fromstring(body))  # noqa: S314 - ours


RESTORED = (
    "<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress>"
    "<RestoreExpiryDate>2026-12-30T00:00:00.000Z</RestoreExpiryDate></RestoreStatus>"
)
IN_PROGRESS = "<RestoreStatus><IsRestoreInProgress>true</IsRestoreInProgress></RestoreStatus>"


@pytest.mark.parametrize(
    ("storage_class", "status", "archive"),
    [
        ("STANDARD", "", None),
        ("GLACIER_IR", "", None),
        ("INTELLIGENT_TIERING", "", None),
        ("GLACIER", "", "GLACIER"),
        ("DEEP_ARCHIVE", "", "DEEP_ARCHIVE"),
        ("GLACIER", IN_PROGRESS, "GLACIER"),
        ("GLACIER", RESTORED, None),
        ("DEEP_ARCHIVE", RESTORED, None),
    ],
)
def test_both_ways_read_which_objects_are_archived(
    storage_class: str, status: str, archive: str | None
) -> None:
    archived = contents("b").replace(
        "<StorageClass>STANDARD</StorageClass>",
        f"<StorageClass>{storage_class}</StorageClass>{status}",
    )
    body = document(contents("a"), archived, contents("c"))
    parsed = s3_xml.parse_listing(ET.fromstring(body))  # noqa: S314 - ours
    assert [info.archive for info in parsed.objects] == [None, archive, None]
    assert s3_xml.fast_parse_listing(body) == parsed


@pytest.mark.parametrize(
    "body",
    [
        document(contents("k")).replace(_ENCODED.encode(), b""),
        document(contents("k"))[:-1],
        document(contents("k"), "<Contents><Size>1</Size><Key>other order</Key></Contents>"),
        document(contents("k"), more="<IsTruncated>true</IsTruncated>"),
        b"",
        b"<html>a proxy</html>",
    ],
)
def test_what_is_of_another_form_is_left_to_the_parser(body: bytes) -> None:
    assert s3_xml.fast_parse_listing(body) is None


@pytest.mark.parametrize("other", ["<html><body/></html>", "<Error/>", "<ListBucketResults/>"])
def test_another_document_is_no_empty_listing_and_no_successful_deletion(other: str) -> None:
    with pytest.raises(ValueError, match="instead of a ListBucketResult"):
        s3_xml.parse_listing(ET.fromstring(other))  # noqa: S314 - ours
    with pytest.raises(ValueError, match="instead of a DeleteResult"):
        s3_xml.parse_delete_failures(ET.fromstring(other))  # noqa: S314 - ours
