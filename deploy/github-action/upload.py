"""``upload.py s3://bucket/channel PACKAGE …``: upload packages, each once and with its digests.

Nothing is overwritten (``If-None-Match: *``).  S3 checks the body against its SHA-256, and sluice
reads that and the digests in the metadata instead of the whole package.  Prints subdir/file of each
package that was uploaded or already exists, for ``sluice wait``.  Exits with 1 if a different
package has the same name.
"""

from __future__ import annotations

import re
import sys
from base64 import b64encode
from hashlib import md5, sha256
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

_ADDRESS = re.compile(r"s3://([^/]+)/?(.*)")
_IS_THERE = ("PreconditionFailed", "ConditionalRequestConflict")


def main(address: str, packages: list[str]) -> int:
    """Upload; the exit code."""
    match = _ADDRESS.fullmatch(address.rstrip("/"))
    if not match or not packages:
        sys.stderr.write("usage: upload.py s3://bucket/channel PACKAGE ...\n")
        return 2
    bucket, channel = match.groups()
    client = boto3.client("s3", config=Config(retries={"mode": "standard"}))
    failed = False
    for path in map(Path, packages):
        place = f"{path.parent.name}/{path.name}"
        key = f"{channel}/{place}".lstrip("/")
        body = path.read_bytes()
        digest = sha256(body)
        try:
            client.put_object(
                Bucket=bucket,
                Key=key,
                Body=body,
                IfNoneMatch="*",
                ChecksumSHA256=b64encode(digest.digest()).decode(),
                Metadata={
                    "package-sha256": digest.hexdigest(),
                    "package-md5": md5(body, usedforsecurity=False).hexdigest(),
                },
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in _IS_THERE:
                raise
            stored = client.head_object(Bucket=bucket, Key=key)
            if stored["Metadata"].get("package-sha256") != digest.hexdigest():
                sys.stderr.write(f"{place}: a different package with this name already exists\n")
                failed = True
                continue
            sys.stderr.write(f"{place}: already exists\n")
        sys.stdout.write(f"{place}\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "", sys.argv[2:]))
