from __future__ import annotations

from hashlib import md5, sha256

from msgspec.structs import replace

from sluice.conda.digests import Digests
from sluice.package.digest_sources import StreamHasher, known_digests
from sluice.storage.object_store import ETag, ObjectInfo

S3_SHA256 = "5" * 64
CLAIMED_SHA256 = "a" * 64
CLAIMED_MD5 = "b" * 32
ETAG_MD5 = "e" * 32
CLAIMS = {"package-sha256": CLAIMED_SHA256, "package-md5": CLAIMED_MD5}

MULTIPART = ObjectInfo("k", ETag(f'"{ETAG_MD5}-2"'), 9, 0, encryption="AES256")
SINGLE_PART = replace(MULTIPART, etag=ETag(f'"{ETAG_MD5}"'))


def test_without_any_word_on_the_sha256_nothing_is_known() -> None:
    assert known_digests(SINGLE_PART, trust_uploader=True) is None


def test_what_s3_computed_goes_before_what_the_uploader_says() -> None:
    info = replace(SINGLE_PART, sha256=S3_SHA256, metadata=CLAIMS)
    assert known_digests(info, trust_uploader=True) == Digests(S3_SHA256, ETAG_MD5, "s3", "etag")


def test_a_trusted_uploader_gives_both_digests_of_a_multipart_upload() -> None:
    info = replace(MULTIPART, metadata=CLAIMS)
    expected = Digests(CLAIMED_SHA256, CLAIMED_MD5, "uploader", "uploader")
    assert known_digests(info, trust_uploader=True) == expected


def test_an_uploader_who_is_not_trusted_gives_none() -> None:
    info = replace(MULTIPART, metadata=CLAIMS)
    assert known_digests(info, trust_uploader=False) is None
    with_s3 = replace(info, sha256=S3_SHA256)
    assert known_digests(with_s3, trust_uploader=False) == Digests(S3_SHA256, None, "s3", None)


def test_an_etag_is_an_md5_only_without_kms_and_in_one_part() -> None:
    known = replace(SINGLE_PART, sha256=S3_SHA256)
    no_md5 = Digests(S3_SHA256, None, "s3", None)
    md5_of_etag = Digests(S3_SHA256, ETAG_MD5, "s3", "etag")
    for info, expected in (
        (known, md5_of_etag),
        (replace(known, encryption=None), md5_of_etag),
        (replace(known, encryption="aws:kms"), no_md5),
        (replace(known, encryption="aws:kms:dsse"), no_md5),
        (replace(known, etag=MULTIPART.etag), no_md5),
    ):
        assert known_digests(info, trust_uploader=True) == expected


def test_claims_that_are_no_digests_are_ignored() -> None:
    for claim in ("", "a" * 63, "a" * 65, "g" * 64, "a" * 64 + "\n", "٣" * 64):
        info = replace(MULTIPART, metadata={"package-sha256": claim})
        assert known_digests(info, trust_uploader=True) is None


def test_a_claim_in_upper_case_is_published_in_lower_case() -> None:
    info = replace(MULTIPART, metadata={"package-sha256": CLAIMED_SHA256.upper()})
    expected = Digests(CLAIMED_SHA256, None, "uploader", None)
    assert known_digests(info, trust_uploader=True) == expected


def test_hashing_hands_every_chunk_on_and_digests_them_all() -> None:
    hashing = StreamHasher()
    assert list(hashing.pass_through([b"ab", b"", b"c"])) == [b"ab", b"", b"c"]
    expected = Digests(sha256(b"abc").hexdigest(), md5(b"abc").hexdigest(), "read", "read")  # noqa: S324
    assert hashing.digests() == expected
