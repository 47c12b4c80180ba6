"""The errors that sluice raises, named by how a caller reacts to them.

SluiceError
├── BadPackage      the package can never be indexed: record a reject, do not retry
│   └── LimitExceeded   ... with these limits: read it with the full ones, if they are not those
├── Changed         the object was overwritten during the read: read it again
├── Archived        the object is in an archive storage class: record a reject
├── Unavailable     S3 or SQS did not answer properly: let the queue retry
├── TooEarly        a merge request is not due: it went back to the queue
├── TooLate         a conditional write was not sent because its deadline had passed: begin again
├── Corrupt         a stored object cannot be decoded: stop, change nothing, raise an alarm
│   ├── Missing     ... because it does not exist: check whether its referrer is still kept
│   ├── TooNew      ... because a newer sluice wrote it
│   └── BrokenListing   a LIST leaves out existing objects: trust nothing in it
├── ForeignOwner    another stack publishes this channel: stop publishing, raise an alarm
├── WrongState      the catalog is bound to another bucket: change nothing, raise an alarm
├── UnknownEvent    no event or request of a known form: leave it to the dead-letter queue
├── Unsupported     a server lacks a feature that sluice needs: write nothing there
├── Misconfigured   the environment of the function is wrong: fail at once
├── Misused         a person made an invalid request: say what a valid one is
├── NotFound        what a person named does not exist: say so
│   └── UnknownChannel   ... and it is a whole channel: say which ones there are
└── Occupied        the request of a person would overwrite something else: say so
"""

from __future__ import annotations

import msgspec

from sluice.limits import REJECT_SENTENCE_CHARS_MAX
from sluice.text import printable

DECODE_ERRORS = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""The errors that decoding raises for data of an unexpected form.

msgspec has its own errors, but passes on Python's for invalid UTF-8 and deep nesting."""


class SluiceError(Exception):
    """Base class of the errors that sluice raises on purpose."""


class InvalidUpload(SluiceError):
    """An uploaded file that is not valid.

    ``code`` is stable and machine-readable (``kebab-case``).  ``sentence`` tells a person what is
    wrong and, where possible, how to fix it.  It may quote the package, so it is kept printable, on
    one line and of bounded length.
    """

    def __init__(self, code: str, sentence: str) -> None:
        text = printable(sentence)
        if len(text) > REJECT_SENTENCE_CHARS_MAX:
            text = text[: REJECT_SENTENCE_CHARS_MAX - 1] + "…"
        super().__init__(f"{code}: {text}")
        self.code = code
        self.sentence = text


class BadPackage(InvalidUpload):
    """A package that can never be indexed, or a patch that cannot be applied."""


class LimitExceeded(BadPackage):
    """A package that cannot be indexed within the ``ReadLimits`` it was read with."""


class BadConfig(InvalidUpload):
    """A ``sluice.toml`` that is not valid."""


class Changed(SluiceError):
    """The object is no longer the version that was opened (412 or 404 under If-Match)."""


class Archived(SluiceError):
    """The object cannot be read until it is restored (S3's InvalidObjectState)."""


class Unavailable(SluiceError):
    """A service did not answer properly, even after the client's retries."""


class TooEarly(SluiceError):
    """A merge request is not due, and went back to the queue."""


class TooLate(SluiceError):
    """A conditional write was not sent because its deadline had passed.

    An earlier try of the same write may still have landed.  A caller that needs to know reads the
    object back.
    """


class Corrupt(SluiceError):
    """A stored object is not in the form that sluice wrote."""


class TooLarge(SluiceError):
    """An object would be larger than what is read again."""


class Missing(Corrupt):
    """An object of the catalog does not exist, although another object refers to it.

    If the referrer is still kept, the object is lost.  If not, garbage collection deleted it.
    """

    def __init__(self, key: str, *, kind: str, referrer: str) -> None:
        """``key`` is the key of the object; ``kind`` and ``referrer`` are words for people."""
        super().__init__(f"{referrer} refers to the {kind} {key}, which does not exist")
        self.key = key


class TooNew(Corrupt):
    """A stored object has a format that this version of sluice does not know."""


class BrokenListing(Corrupt):
    """A LIST leaves out an object that HEAD shows, so its gaps prove nothing."""


class ForeignOwner(SluiceError):
    """The published index belongs to another stack, and two stacks must not fight."""


class WrongState(SluiceError):
    """The catalog of this channel describes another bucket than the connected one."""


class UnknownEvent(SluiceError):
    """An event or a queue message is not of a known form."""


class Misconfigured(SluiceError):
    """An environment variable is missing or has an invalid value."""


class Unsupported(SluiceError):
    """An S3-compatible server lacks a feature that sluice needs."""


class Misused(SluiceError):
    """A person made an invalid request: a value is wrong or missing."""


class NotFound(SluiceError):
    """A stack, a subdir or a generation that a person named does not exist."""


class UnknownChannel(NotFound):
    """A channel that a person named has no catalog in the state."""


class Occupied(SluiceError):
    """A person asked for a write to a place where it would overwrite something else."""
