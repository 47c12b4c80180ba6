"""The web server of testkit: what was read of it, and over TLS."""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from testkit.tls import make_authority
from testkit.web import served


def test_what_was_only_looked_at_was_not_read(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"1")
    with served(tmp_path) as site:
        for method in ("HEAD", "GET", "HEAD"):
            urlopen(Request(f"{site.url}/one", method=method)).close()  # noqa: S310
        assert site.answered == ["/one"] * 3
        assert site.read == ["/one"]


def test_a_client_that_trusts_the_authority_is_served_over_tls_and_no_other(
    tmp_path: Path,
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "one").write_bytes(b"1")
    authority = make_authority(tmp_path)
    with served(tmp_path / "site", tls=authority.context) as site:
        assert site.url.startswith("https://localhost:")
        with pytest.raises(URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urlopen(f"{site.url}/one", context=ssl.create_default_context())  # noqa: S310
        trusting = ssl.create_default_context(cafile=authority.certificate)
        with urlopen(f"{site.url}/one", context=trusting) as answer:  # noqa: S310
            assert answer.read() == b"1"
        assert site.read == ["/one"]
