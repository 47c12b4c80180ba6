"""S3 servers of every kind, which take longer to start than most tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from testkit.s3_server.kinds import KINDS, servers
from testkit.s3_server.process import S3Server


@pytest.fixture(scope="session")
def running() -> Iterator[Mapping[str, S3Server]]:
    """A server of each kind; a test uses buckets of its own."""
    with servers(KINDS) as running:
        yield running
