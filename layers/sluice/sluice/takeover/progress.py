"""The progress of a take-over that takes longer than one merge: what its steps have written so far.

Leaves and shards are named by their content, so a later step can refer to those of an earlier one.
Nothing else refers to them before the commit, of which there is one, by the last step.  Pure.

Each name has a digest of all that its objects were made of (``ExistingIndex.digest``).  A step uses
what an earlier one wrote for a name only if that digest is still the same.  So the index may be
replaced between two steps, and packages may be uploaded and removed.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec
from msgspec import UNSET, UnsetType

from sluice.catalog.codec import compress_packed, pack_plain, unpack_struct
from sluice.catalog.tree import Inputs, Node, format_of, share_pack_digests
from sluice.conda.timestamps import EpochMs
from sluice.errors import Corrupt, TooNew
from sluice.limits import GARBAGE_AGE_SECONDS

FORMAT = 2
"""The newest format of progress that this version reads.  Written is that of a tree with the same
nodes (``tree.format_of``)."""


class FinishedName(msgspec.Struct, frozen=True, array_like=True):
    """What a step has written for one name.  Stored as an array, as ``Node`` is."""

    digest: bytes
    """Of everything that decides what is written, see ``name_digest``."""
    node: Node | None
    """``None``: the name stays as it is in the parent."""
    taken_over: int
    """Records from the index."""
    rejects_changed: bool
    has_pins: bool


class TakeOverProgress(msgspec.Struct, frozen=True, kw_only=True):
    """What all steps so far have written.

    It may be deleted at any time: the take-over then begins again.
    """

    made_for: str
    """``purpose_digest`` of the take-over."""
    not_after_ms: EpochMs
    """Deadline for the commit, by the clock of the state's store, see ``Draft``.  It counts from
    before the first write of the first step, because garbage collection counts from there, too."""
    names: dict[str, FinishedName]
    attempt: int | UnsetType = UNSET
    """How often the take-over has begun in a row, each time because the deadline had passed; absent
    in the first attempt."""
    format: int = 1
    """``tree.format_of`` its nodes."""

    def next_attempt(self, purpose: str, *, now_ms: EpochMs) -> int:
        """The number of the attempt that begins now, because this one is not usable."""
        is_recent = now_ms < self.not_after_ms + GARBAGE_AGE_SECONDS * 1000
        return (self.attempt or 1) + 1 if is_recent and self.made_for == purpose else 1

    def is_usable(self, purpose: str, *, now_ms: EpochMs) -> bool:
        """Whether a take-over can go on from here; ``now_ms``: by the clock of the store."""
        return self.made_for == purpose and now_ms < self.not_after_ms


_NODE = FinishedName.__struct_fields__.index("node")
_PLACE = Node.__struct_fields__.index("place")


def encode_progress(progress: TakeOverProgress) -> bytes:
    """Serialize; raises ``TooLarge``."""
    what = "the progress of a take-over"
    plain = msgspec.to_builtins(progress, builtin_types=(bytes,), order="deterministic")
    nodes = (finished.node for finished in progress.names.values())
    plain["format"] = max(progress.format, format_of(nodes))
    for finished in plain["names"].values():
        node = finished[_NODE]
        if node and node[_PLACE] is None:  # as it was before there were packs
            del node[_PLACE]
    return compress_packed(pack_plain(plain), what=what)


def decode_progress(body: bytes, *, what: str) -> TakeOverProgress | None:
    """Parse a stored progress; ``None`` if it is damaged, for it is of no use then.

    Raises ``TooNew``, which names ``what``.
    """
    try:
        progress = unpack_struct(body, TakeOverProgress, newest=FORMAT, what=what)
    except TooNew:
        raise
    except Corrupt:
        return None
    share_pack_digests(finished.node for finished in progress.names.values())
    return progress


def purpose_digest(bucket: str, inputs: Inputs) -> str:
    """A digest of what all names have in common: where their shards are, and how they look.

    ``bucket``: of the channel.  The time of a patch is left out: it is that of the step.
    """
    patch = (inputs.patch.package, inputs.patch.sha256) if inputs.patch else None
    purpose = (bucket, inputs.renderer, inputs.config.settings, patch)
    return sha256(msgspec.json.encode(purpose, order="deterministic")).hexdigest()


def name_digest(index_digest: bytes, before: Node | None, *, rerender: bool) -> bytes:
    """A digest of what decides what a take-over writes for one name.

    ``index_digest``: ``ExistingIndex.digest``; ``before``: its node in the parent; ``rerender``:
    whether it is written even if nothing changes.
    """
    return sha256(
        index_digest + (b"\1" if rerender else b"\0") + (before.leaf if before else b"")
    ).digest()
