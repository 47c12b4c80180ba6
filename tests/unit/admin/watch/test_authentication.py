"""Who may send events."""

from __future__ import annotations

from base64 import b64encode

import pytest

from sluice.admin.watch.authentication import NOBODY, Credentials

BOTH = Credentials(token="secret", user="ceph:pässword")


def basic(user: str) -> str:
    return f"Basic {b64encode(user.encode()).decode()}"


@pytest.mark.parametrize(
    "shown",
    ["Bearer secret", "bearer secret", "Bearer  secret", basic("ceph:pässword")],
)
def test_each_of_the_two_is_enough(shown: str) -> None:
    assert BOTH.accept(shown)


@pytest.mark.parametrize(
    "shown",
    [
        *("", "secret", "Bearer", "Bearer ", "Bearer secre", "Bearer secret2", "Digest secret"),
        *("Basic secret", "Basic", "Basic ä", basic("ceph:"), basic("ceph"), basic(":pässword")),
        f"Basic {b64encode(bytes([255])).decode()}",
    ],
)
def test_anything_else_is_not(shown: str) -> None:
    assert not BOTH.accept(shown)


@pytest.mark.parametrize("credentials", [NOBODY, Credentials(token="", user="")])
@pytest.mark.parametrize("shown", ["", "Bearer ", "Bearer", basic(""), "Basic "])
def test_without_credentials_nobody_is_let_in(credentials: Credentials, shown: str) -> None:
    assert credentials.is_empty
    assert not credentials.accept(shown)
