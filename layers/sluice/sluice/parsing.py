"""What msgspec raises over data that does not hold what was expected."""

from __future__ import annotations

import msgspec

UNDECODABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""msgspec has errors of its own, but lets Python's through for invalid UTF-8 and deep nesting."""
