"""Probes conditional writes of a server: some trial writes must land, and some must not.

Sluice depends on conditional writes: with a server that ignores them, two indexers overwrite each
other's heads and neither notices.  Servers do not document what they do.  So each condition that
sluice uses is tried on a separate object, under a new key, so that every run gives the same answer.
The object is deleted afterwards.  So is one that is written with a wrong checksum: a server that
accepts it does not notice a body that was damaged on the way.

An ambiguous response is settled by reading back.  If that is impossible, or a request fails for
another reason (for example, no permission to write), the result is ``Unavailable`` and no finding.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sluice.errors import SluiceError, Unavailable, Unsupported
from sluice.limits import WRITE_ATTEMPTS_MAX
from sluice.storage.conditional_writes import IF_ABSENT, ConditionalWrites, IfMatchForm
from sluice.storage.object_store import ETag, ObjectHeaders, StoredObject
from sluice.storage.s3_client import CHECKSUM_HEADER, crc32_checksum
from sluice.storage.s3_conditional_put import WriteAttempt

_HEADERS = ObjectHeaders("application/json", metadata={"sluice-probe": "1"})
_FIRST_ERROR_STATUS = 300
_ACCESS_DENIED_STATUSES = frozenset({401, 403})
_ACCESS_HINT = "the trial needs s3:PutObject, s3:GetObject and s3:DeleteObject"
_CONFLICT = 409
_PRECONDITION_FAILED = 412
_REFUSAL_STATUSES = frozenset({400, 404, 405, _PRECONDITION_FAILED, 501})
"""Statuses with which a server says that it did not carry out the write."""

_WRONG_CHECKSUM = {CHECKSUM_HEADER: crc32_checksum(b"not the body of any trial")}

T = TypeVar("T")


class ProbeStore(Protocol):
    """The operations that a trial needs, see ``S3Store``."""

    def attempt_write(
        self,
        key: str,
        body: bytes,
        headers: ObjectHeaders,
        condition: Mapping[str, str],
        *,
        in_parts: bool = False,
    ) -> WriteAttempt:
        """Write under a condition, and return the server's response."""
        ...

    def bucket_exists(self) -> bool:
        """Whether the bucket exists: some servers would create it with a write."""
        ...

    def get(self, key: str) -> StoredObject | None:
        """Read an object."""
        ...

    def put(self, key: str, body: bytes, headers: ObjectHeaders) -> None:
        """Write without a condition."""
        ...

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects."""
        ...


@dataclass(frozen=True, slots=True)
class ConditionalWriteProbe:
    """Probes one bucket."""

    store: ProbeStore
    place: str
    """The bucket and its server, for messages."""
    new_key: Callable[[], str]
    """Returns a new key, under which each writer may write, read and delete."""

    def probe_all(self) -> ConditionalWrites:
        """Try every condition; some 25 requests.  Raises the errors of ``if_match_form``."""
        form = self.if_match_form()
        return ConditionalWrites(form, self.completion_is_conditional(form))

    def if_match_form(self) -> IfMatchForm:
        """Try the conditions of PutObject, and find the form of an ETag that the server accepts.

        Seven requests, or nine if that is the bare form.  Raises ``Unsupported`` if the server
        ignores or refuses a condition, or does not store what was written; ``Unavailable``, also if
        there is no such bucket.
        """
        return self._with_trial_object(self._try_puts)

    def completion_is_conditional(self, form: IfMatchForm) -> bool:
        """Try the conditions of CompleteMultipartUpload: whether multipart uploads may be used.

        One part of some bytes is enough: S3 accepts a last part of any size, and the condition is
        evaluated on completion, when the parts are there.  moto, Ceph RGW and SeaweedFS answer the
        same with one part of 5 MiB.  Raises ``Unavailable``.
        """
        return self._with_trial_object(lambda trial: _try_completion(trial, form))

    def verifies_checksums(self) -> bool:
        """Write with a wrong checksum, and return whether the server refuses that.

        At most three requests.  Raises ``Unavailable``.
        """
        return self._with_trial_object(lambda trial: not trial.lands(_WRONG_CHECKSUM))

    def _with_trial_object(self, action: Callable[[_TrialObject], T]) -> T:
        trial = _TrialObject(self.store, self.new_key())
        try:
            try:
                result = action(trial)
            except SluiceError:
                if trial.may_exist:
                    with suppress(Unavailable):  # the first error says more
                        trial.delete()
                raise
            trial.delete()
        except Unavailable as error:
            raise Unavailable(
                f"{error}. sluice was testing conditional writes in {self.place}. The channel was "
                "not changed"
            ) from error
        return result

    def _try_puts(self, trial: _TrialObject) -> IfMatchForm:
        if not self.store.bucket_exists():
            raise Unavailable(f"HeadBucket of {self.place}: the bucket does not exist")
        if not trial.lands(IF_ABSENT):
            if trial.answer.status != _PRECONDITION_FAILED:
                trial.write_plainly()  # raises if the condition was not the reason
            raise self._unsupported(
                "a write with If-None-Match failed, although the object did not exist "
                f"({trial.answer.summary})"
            )
        first = trial.etag
        if trial.replaces(IF_ABSENT):
            raise self._unsupported("a write with If-None-Match replaced an existing object")
        form = self._find_form(trial, first)
        if trial.replaces({"If-Match": form.header_value(first)}):
            raise self._unsupported(
                "a write with If-Match replaced an object with a different ETag"
            )
        if not trial.reads_back():
            raise Unsupported(
                f"{self.place} cannot be used: it returned another body or other metadata than "
                "were written. Use another server. The channel was not changed"
            )
        return form

    def _find_form(self, trial: _TrialObject, etag: ETag) -> IfMatchForm:
        refusals: list[str] = []
        for form in IfMatchForm:
            if trial.lands({"If-Match": form.header_value(etag)}):
                return form
            refusals.append(f"{form} ETag: {trial.answer.summary}")
        raise self._unsupported(
            "a write with If-Match failed, although it named the current ETag "
            f"({', '.join(refusals)})"
        )

    def _unsupported(self, finding: str) -> Unsupported:
        return Unsupported(
            f"{self.place} cannot be used: {finding}. sluice needs conditional writes (PutObject "
            "with If-Match and If-None-Match), because concurrent indexers would otherwise "
            "overwrite each other. Use a server that supports both. The channel was not changed"
        )


def _try_completion(trial: _TrialObject, form: IfMatchForm) -> bool:
    if not trial.lands(IF_ABSENT, in_parts=True):
        return False
    first = trial.etag
    over_first = {"If-Match": form.header_value(first)}
    return (
        not trial.replaces(IF_ABSENT, in_parts=True)
        and trial.lands(over_first, in_parts=True)
        and not trial.replaces(over_first, in_parts=True)
        and trial.reads_back()
    )


class _TrialObject:
    """An object that is written several times, each time with another body."""

    def __init__(self, store: ProbeStore, key: str) -> None:
        self._store = store
        self._key = key
        self._writes = 0
        self._body = b""
        self.may_exist = False
        self.etag: ETag
        """ETag of the last write that landed."""
        self.answer: WriteAttempt
        """The response to the last write."""

    def lands(self, condition: Mapping[str, str], *, in_parts: bool = False) -> bool:
        """Write what should land, and return whether it did; raises ``Unavailable``."""
        # A retried write whose first response was lost is refused because of itself.
        return self._write(condition, in_parts=in_parts, is_final=frozenset())

    def replaces(self, condition: Mapping[str, str], *, in_parts: bool = False) -> bool:
        """Write what should not land, and return whether it did; raises ``Unavailable``."""
        # A retried completion does not find its upload, and that is no refusal.
        is_final = frozenset() if in_parts else _REFUSAL_STATUSES
        return self._write(condition, in_parts=in_parts, is_final=is_final)

    def write_plainly(self) -> None:
        """Write without a condition; raises ``Unavailable``."""
        self.may_exist = True
        self._store.put(self._key, self._next_body(), _HEADERS)

    def reads_back(self) -> bool:
        """Whether the object has the body that landed last."""
        stored = self._store.get(self._key)
        return (
            stored is not None
            and stored.body == self._body
            and dict(stored.info.metadata) == dict(_HEADERS.metadata)
        )

    def delete(self) -> None:
        """Delete the object; raises ``Unavailable``."""
        self._store.delete([self._key])

    def _write(
        self, condition: Mapping[str, str], *, in_parts: bool, is_final: Collection[int]
    ) -> bool:
        """Whether a write landed; a status in ``is_final`` means that it did not."""
        body = self._next_body()
        for _ in range(WRITE_ATTEMPTS_MAX):
            answer = self._attempt(body, condition, in_parts=in_parts)
            if answer is None:  # no response, and the object is there
                return True
            if answer.status in _ACCESS_DENIED_STATUSES:
                hint = f" ({_ACCESS_HINT})" if answer.code == "AccessDenied" else ""
                raise Unavailable(answer.summary + hint)
            self.may_exist = True
            if answer.etag and answer.status < _FIRST_ERROR_STATUS and not in_parts:
                self._body, self.etag = body, answer.etag
                return True
            if answer.status in is_final:
                return False
            if self._has_landed(body):
                return True
            if answer.status in _REFUSAL_STATUSES or answer.status < _FIRST_ERROR_STATUS:
                return False
            if answer.status != _CONFLICT:
                raise Unavailable(answer.summary)
        raise Unavailable(f"{self.answer.summary}, in each of {WRITE_ATTEMPTS_MAX} attempts")

    def _attempt(
        self, body: bytes, condition: Mapping[str, str], *, in_parts: bool
    ) -> WriteAttempt | None:
        """The server's response; ``None`` if it was lost, but the write was not."""
        try:
            self.answer = self._store.attempt_write(
                self._key, body, _HEADERS, condition, in_parts=in_parts
            )
        except Unavailable:
            self.may_exist = True
            if self._has_landed(body):
                return None
            raise
        return self.answer

    def _has_landed(self, body: bytes) -> bool:
        """Whether the object has the body of a write with an unknown outcome."""
        stored = self._store.get(self._key)
        if stored is None or stored.body != body:
            return False
        self._body, self.etag = body, stored.info.etag
        return True

    def _next_body(self) -> bytes:
        self._writes += 1
        return b'{"format":1,"write":%d}\n' % self._writes
