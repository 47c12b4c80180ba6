"""One attempt to commit a plan as the next generation of a subdir."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sluice.catalog.head import Head
from sluice.catalog.tree import Tree
from sluice.merge.generation_writer import Draft, GenerationWriter
from sluice.merge.plan import CommitPlan
from sluice.runtime import NewId
from sluice.storage.object_store import noop
from sluice.storage.versioned_object import LOST, ObjectVersion, Swap, VersionedObject


@dataclass(frozen=True, slots=True)
class Committed:
    """A generation that was committed."""

    head: Head
    draft: Draft


def commit_plan(
    versioned: VersionedObject[Head],
    version: ObjectVersion[Head],
    parent: Tree,
    plan: CommitPlan,
    *,
    writer: GenerationWriter,
    new_id: NewId,
    before_commit: Callable[[], None] = noop,
) -> Committed | Literal[Swap.LOST]:
    """Write the generation and swap the head to it; for ``commit_loop``.

    ``before_commit`` is called after the leaves and before the tree, for example to request the
    merge that publishes the generation.  If the process dies after it, there is a request too many,
    and not a generation that nobody publishes.
    """
    draft = writer.draft(parent, plan)
    draft.wait_written()
    before_commit()
    head = writer.commit(parent, version.value, draft, plan, writer=new_id())
    swapped = versioned.swap(head, expected=version.etag, not_after_ms=draft.not_after_ms)
    return LOST if swapped is LOST else Committed(head, draft)
