"""What is kept of files that cannot be indexed, held to its bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sluice.layout import Subdir
from tests.simulation.system import reading
from tests.simulation.system.bucket import Bucket
from tests.simulation.system.habits import RejectLimits
from tests.simulation.system.packages import Place

Entries = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Unnoted:
    """The files that the catalog need not know, while somebody floods a subdir.

    A file that cannot be indexed, where a subdir keeps as many rejects as it may; and a good one,
    if no event told of it: a full subdir has few unknown files read again by each run.
    """

    rejects_kept: int
    compared: bool
    """Whether reconcile has seen everything.  Only then is all noted for which there is room."""
    unheard: Collection[Place]
    """Good packages or bad ones, of whose upload no event told."""

    def rejects(self, entries: Entries, files: Collection[str]) -> set[str]:
        """Which of ``files``, which cannot be indexed, need not be known."""
        allowed = not self.compared or self._is_full(entries)
        return {file for file in files if allowed and file not in entries}

    def packages(self, subdir: Subdir, entries: Entries, files: Collection[str]) -> set[str]:
        """Which of ``files``, which are good, need not be known."""
        return {
            file
            for file in files
            if self._is_full(entries)
            and file not in entries
            and Place(subdir, file) in self.unheard
        }

    def _is_full(self, entries: Entries) -> bool:
        return len(rejected(entries)) >= self.rejects_kept


def rejected(entries: Entries) -> set[str]:
    """The files that are rejects in the catalog."""
    return {filename for filename, entry in entries.items() if entry["kind"] == "reject"}


def check_swap(subdir: Subdir, before: Entries, after: Entries, limits: RejectLimits) -> None:
    """Hold the step from one head to the next to the bounds.

    What has left the index is noted in any case, what the catalog did not know only while there is
    room.
    """
    rejects = rejected(after)
    unknown = {file for file in rejects if file not in before}
    fallen = {file for file in rejects if file in before and before[file]["kind"] != "reject"}
    kept = len(rejects - fallen)
    assert not unknown or kept <= limits.kept, (
        f"{subdir} keeps {kept} rejects, of which {sorted(unknown)} are new"
    )
    told = Counter(_name(file) for file in rejects if after[file]["sentence"])
    most = max(told.values(), default=0)
    assert most <= limits.sentences, f"{subdir} has sentences of {told}"


def check_document(state: Bucket, subdir: Subdir, entries: Entries, limits: RejectLimits) -> None:
    """Hold the document for people to what the catalog has."""
    stored = state.objects.get(subdir.rejects_key)
    content = reading.document(stored.body) if stored else {"rejects": [], "omitted": {}}
    listed = [reject["filename"] for reject in content["rejects"]]
    omitted = content["omitted"].get("rejects", 0)
    rejects, what = rejected(entries), f"the list of rejects of {subdir}"
    assert rejects.issuperset(listed), f"{what} has {sorted(set(listed) - rejects)}"
    assert len(set(listed)) == len(listed), f"{what} names some twice: {listed}"
    assert len(listed) + omitted == len(rejects), f"{what} leaves {omitted} of {sorted(rejects)}"
    if len(rejects) <= limits.listed:
        assert not omitted, f"{what} leaves out {rejects.difference(listed)}, and need not"
        return
    assert len(listed) <= limits.listed, f"{what} has {len(listed)}"
    most = max(Counter(map(_name, listed)).values(), default=0)
    assert most <= limits.listed_of_name, f"{what} has {most} of one name"


def _name(filename: str) -> str:
    return filename.rsplit("-", 2)[0].lower()
