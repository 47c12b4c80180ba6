from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import sluice
from sluice.admin.history.reject_advice import ADVICE, reject_advice
from sluice.admin.history.rejects import rejects
from sluice.catalog import file_warnings
from sluice.catalog.entry import DIGESTS_FALSE
from sluice.errors import Corrupt
from sluice.merge.apply_staging import RULE_REJECT_CODES
from sluice.merge.large_records import CODE as LARGE_RECORDS_FULL
from sluice.publish.rejects_document import REVISION_NOT_ALLOWED
from tests.support.admin_channel import admin_channel
from tests.support.staging_records import NOARCH, A, B, indexed
from tests.support.subdir_world import World

SOURCES = Path(sluice.__file__).parent
WARNINGS = {
    value
    for name, value in vars(file_warnings).items()
    if name.isupper() and isinstance(value, str)
}
assert len(WARNINGS) > 3
REFUSALS = ("LimitExceeded", "BadPackage", "BadConfig", "RecordProblem", "Rejected")


def _codes(path: Path) -> Iterator[str]:
    """Every code that a source file gives a refusal as it stands there."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            given = [*node.args[:1], *(one.value for one in node.keywords if one.arg == "code")]
            for value in given if node.func.id in REFUSALS else ():
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value


def test_there_is_advice_for_every_code_and_for_no_other() -> None:
    found = {code for path in SOURCES.rglob("*.py") for code in _codes(path)}
    assert len(found) > 30
    assert found >= RULE_REJECT_CODES
    of_merges_and_reconcile = {DIGESTS_FALSE, LARGE_RECORDS_FULL}
    of_the_document = {REVISION_NOT_ALLOWED, "not-listed"}
    assert ADVICE.keys() == found | WARNINGS | of_merges_and_reconcile | of_the_document


def test_a_warning_and_its_advice_never_call_it_a_reject() -> None:
    unknown = reject_advice("invented-later", is_warning=True)
    assert "newer version of sluice" in unknown
    for advice in [unknown, *(ADVICE[code] for code in WARNINGS)]:
        assert "reject" not in advice


def test_advice_is_a_sentence() -> None:
    assert all(re.match(r"(?:[A-Z]|sluice ).*\.$", text) for text in ADVICE.values())


def test_of_a_code_that_is_not_known_a_newer_sluice_is_asked() -> None:
    assert "newer version of sluice" in reject_advice("invented-later")


def test_a_reject_is_told_with_what_to_do() -> None:
    world = World()
    world.add(A)
    world.add_corrupt(B)
    world.merge()
    (found,) = rejects(admin_channel(world))
    assert (found.subdir, found.file, found.kind) == ("linux-64", B, "reject")
    assert (found.code, found.sentence) == ("zip-invalid", f"{B} is no zip file.")
    assert found.at == world.commit().at
    assert found.advice == ADVICE["zip-invalid"]


def test_a_configuration_that_cannot_be_used_is_a_problem() -> None:
    world = World(subdir=NOARCH)
    world.add(A)
    world.configure("nonsense = 1")
    world.merge()
    (found,) = rejects(admin_channel(world))
    assert (found.kind, found.file, found.code) == ("problem", "sluice.toml", "config-invalid")
    assert found.at is not None


def test_a_warning_is_no_reject() -> None:
    world = World()
    staged = indexed(A, identity=world.upload(A), at=world.now_ms)
    staged.record["timestamp"] = 4_000_000_000_000
    world.stage(staged)
    world.merge()
    (found,) = rejects(admin_channel(world))
    assert (found.kind, found.code) == ("warning", "timestamp-in-future")


def test_where_nothing_is_rejected_nothing_is_told() -> None:
    world = World()
    world.add(A)
    world.merge()
    assert rejects(admin_channel(world)) == []


@pytest.mark.parametrize("body", [b"no JSON", b'{"format": 99}'])
def test_a_document_that_cannot_be_read_is_named(body: bytes) -> None:
    world = World()
    world.add_corrupt(B)
    world.merge()
    world.state.upload(world.subdir.rejects_key, body)
    with pytest.raises(Corrupt, match=world.subdir.rejects_key):
        rejects(admin_channel(world))
