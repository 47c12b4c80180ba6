"""Whether an S3 does what sluice rests on: asked before anything is written that counts.

Two requests where it was asked before, for the object that was written then is there to be asked
about.  An S3 that ignores conditions would let two indexers overwrite each other's heads without
either noticing; one that refuses them fails at the first commit.  Both are better told at once.
"""

from __future__ import annotations

from sluice.errors import Unavailable, Unsupported
from sluice.store import ETag, Headers, ObjectStore

KEY = "probes/conditional-writes.json"
_BODY = b'{"format":1}\n'
_CHANGED = b'{"format":1,"changed":true}\n'
_HEADERS = Headers("application/json", metadata={"sluice-probe": "1"})
_NOBODYS = ETag('"00000000000000000000000000000000"')


def must_be_conditional(state: ObjectStore) -> None:
    """Raise ``Unsupported`` where a conditional write is not conditional, and ``Unavailable``."""
    try:
        etag = state.put_if(KEY, _BODY, _HEADERS, expected=None)
        if etag is not None:
            _prove_anew(state, etag)
        elif state.put_if(KEY, _CHANGED, _HEADERS, expected=_NOBODYS) is not None:
            raise _without("If-Match", "a write over another version than the one asked for landed")
        elif state.head(KEY) is None:
            raise _without("If-None-Match", "a write where nothing was did not land")
    except Unavailable as error:
        raise Unavailable(
            f"{error} (this was a trial write to the state bucket; an S3 that refuses its headers "
            "If-Match, If-None-Match or x-amz-checksum-crc32 cannot be used)"
        ) from error


def _prove_anew(state: ObjectStore, etag: ETag) -> None:
    """The first look at an S3: everything that matters, once."""
    if state.put_if(KEY, _CHANGED, _HEADERS, expected=None) is not None:
        raise _without("If-None-Match", "a second write where something was landed all the same")
    if state.put_if(KEY, _CHANGED, _HEADERS, expected=_NOBODYS) is not None:
        raise _without("If-Match", "a write over another version than the one asked for landed")
    if state.put_if(KEY, _BODY, _HEADERS, expected=etag) is None:
        raise _without("If-Match", "a write over the version that is there did not land")
    stored = state.get(KEY)
    if stored is None or stored.body != _BODY:
        raise Unsupported("this S3 cannot be used: what was written is not what is read afterwards")
    if dict(stored.info.metadata) != dict(_HEADERS.metadata):
        raise Unsupported("this S3 cannot be used: it does not keep the metadata of objects")


def _without(condition: str, what: str) -> Unsupported:
    return Unsupported(
        f"this S3 cannot be used: it does not do conditional writes ({condition}): {what}. "
        "Without them two indexers would overwrite each other's work. Nothing was written but "
        f"{KEY}"
    )
