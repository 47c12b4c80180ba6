"""Everything sluice raises, named by what a handler does about it.

SluiceError
├── BadPackage      the package can never be indexed: record a reject, do not retry
├── Changed         the object was overwritten while it was read: look again
├── Archived        the object sits in an archive storage class: record a reject
├── Unavailable     S3 or SQS did not answer properly: let the queue retry
├── TooEarly        a merge request came before its window has closed, and was given back
├── TooLate         a conditional write was not sent because its deadline had passed: begin again
├── Corrupt         something sluice stored cannot be read: stop, touch nothing, alarm
│   ├── Missing     ... because it is not there: look whether what refers to it is still kept
│   ├── TooNew      ... because a newer sluice wrote it
│   └── BrokenListing   a LIST leaves out objects that are there: believe none of it
├── ForeignOwner    another stack publishes this channel: stop publishing, alarm
├── WrongState      the catalog belongs to another bucket: change nothing, alarm
├── UnknownEvent    no event or request of any known form: let it go to the dead-letter queue
├── Unsupported     an S3 lacks something that sluice rests on: write nothing there
├── Misconfigured   the environment of the function is wrong: fail at once
├── Misused         a person asked for something in a way that cannot be: say what to ask for
├── NotFound        what a person asked for is not there: say so
└── Occupied        what a person asked for would spoil what is there: say so
"""

from __future__ import annotations

import msgspec

from sluice.limits import REJECT_SENTENCE_CHARS_MAX
from sluice.text import printable

DECODE_ERRORS = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What decoding raises for data that is not of the expected form.

msgspec has errors of its own, but lets Python's through for invalid UTF-8 and deep nesting."""


class SluiceError(Exception):
    """Base of every error that sluice raises on purpose."""


class InvalidUpload(SluiceError):
    """Something that people have uploaded and that cannot be used as it is.

    ``code`` is stable and machine-readable (``kebab-case``), ``sentence`` tells a
    person what is wrong and, where possible, what to do about it.  It may quote the
    package: it is kept on one line, printable and in bounded length, whatever that holds.
    """

    def __init__(self, code: str, sentence: str) -> None:
        text = printable(sentence)
        if len(text) > REJECT_SENTENCE_CHARS_MAX:
            text = text[: REJECT_SENTENCE_CHARS_MAX - 1] + "…"
        super().__init__(f"{code}: {text}")
        self.code = code
        self.sentence = text


class BadPackage(InvalidUpload):
    """A package that can never be indexed as it is, or a patch that cannot be applied."""


class BadConfig(InvalidUpload):
    """A ``sluice.toml`` that cannot be used."""


class Changed(SluiceError):
    """The object is no longer the one that was opened (412 or 404 under If-Match)."""


class Archived(SluiceError):
    """The object cannot be read before somebody restores it (S3's InvalidObjectState)."""


class Unavailable(SluiceError):
    """A service did not answer properly, although the client had retried."""


class TooEarly(SluiceError):
    """A merge request was delivered before its window has closed, and has been given back."""


class TooLate(SluiceError):
    """A conditional write was not sent, because its deadline had passed.

    An earlier try of the same write may have landed all the same: a caller that needs to know
    reads back.
    """


class Corrupt(SluiceError):
    """A stored object does not have the form that sluice gave it."""


class Missing(Corrupt):
    """An object of the catalog is not there, although another one refers to it.

    It is lost, unless what refers to it is no longer kept: then it was collected.
    """

    def __init__(self, key: str, *, kind: str, referrer: str) -> None:
        """``key`` is that of the object, ``kind`` and ``referrer`` are words for people."""
        super().__init__(f"{referrer} refers to {key}, but there is no such {kind}")
        self.key = key


class TooNew(Corrupt):
    """A stored object has a format that this version of sluice does not know."""


class BrokenListing(Corrupt):
    """A LIST does not show an object that HEAD shows, so nothing that it leaves out is missing."""


class ForeignOwner(SluiceError):
    """The published index belongs to another stack; two stacks must not fight."""


class WrongState(SluiceError):
    """The catalog of this channel describes another bucket than the one at hand."""


class UnknownEvent(SluiceError):
    """An event or a queue message that is not of any known form."""


class Misconfigured(SluiceError):
    """An environment variable is missing or has a value that cannot be used."""


class Unsupported(SluiceError):
    """An S3-compatible server does not do what sluice cannot do without."""


class Misused(SluiceError):
    """What a person gave cannot be used as it is, or something else has to be given as well."""


class NotFound(SluiceError):
    """A stack, a subdir or a generation that a person named is not there."""


class Occupied(SluiceError):
    """Where a person wants something to be there is something else that would be spoilt."""
