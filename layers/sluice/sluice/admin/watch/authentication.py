"""Authenticates senders of events, by a bearer token or by a user's name and password."""

from __future__ import annotations

import hmac
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Credentials:
    """What senders have to show; each of the two is enough."""

    token: str | None = None
    """A bearer token."""
    user: str | None = None
    """``name:password`` for basic authentication."""

    @property
    def is_empty(self) -> bool:
        """Whether nobody can show anything."""
        return not self.token and not self.user

    def accept(self, authorization: str) -> bool:
        """Whether the value of an ``Authorization`` header is one of these."""
        scheme, _, value = authorization.partition(" ")
        value = value.strip()
        match scheme.lower():
            case "bearer":
                return _equal(value, self.token)
            case "basic":
                try:
                    shown = b64decode(value, validate=True).decode()
                except (Base64Error, UnicodeError, ValueError):
                    return False
                return _equal(shown, self.user)
        return False


NOBODY = Credentials()
"""No credentials: none are valid."""


def _equal(shown: str, expected: str | None) -> bool:
    """Compare in a time that says nothing about the expected value."""
    return bool(expected) and hmac.compare_digest(shown.encode(), (expected or "").encode())
