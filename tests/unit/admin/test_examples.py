"""The examples in the API's documentation and in the pages, run on a channel of two packages."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

import sluice
from sluice.admin.session.channel import Channel
from tests.support.admin_channel import admin_channel
from tests.support.staging_records import A, B
from tests.support.subdir_world import World

ROOT = Path(__file__).parents[3]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_BLOCK = re.compile(r"^```(?:python|pycon)\n(>>> .*?)^```", re.MULTILINE | re.DOTALL)


def _channel() -> Channel:
    world = World()
    for package in (A, B):
        world.add(package)
        world.merge()
    world.deliver()
    return admin_channel(world)


def _examples() -> list[doctest.DocTest]:
    names = sorted({getattr(sluice, name).__module__ for name in sluice.__all__})
    modules: list[ModuleType] = [importlib.import_module(name) for name in names]
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [test for module in modules for test in finder.find(module) if test.examples]


@pytest.mark.parametrize("example", _examples(), ids=lambda example: example.name)
def test_the_example_comes_out_as_it_says(example: doctest.DocTest) -> None:
    example.globs["channel"] = _channel()
    found = doctest.DocTestRunner(verbose=False).run(example)
    assert found.attempted > 0
    assert found.failed == 0


def _blocks() -> list[doctest.DocTest]:
    """What pages show of Python with its answers; each page's go on where the one before ended."""
    parser = doctest.DocTestParser()
    told = {page: "\n".join(_BLOCK.findall(page.read_text(encoding="utf-8"))) for page in PAGES}
    return [
        parser.get_doctest(text, {}, page.name, str(page), 0) for page, text in told.items() if text
    ]


def test_pages_show_examples() -> None:
    assert "python.md" in [block.name for block in _blocks()]


@pytest.mark.parametrize("block", _blocks(), ids=lambda block: block.name)
def test_what_a_page_shows_comes_out_as_it_says(
    block: doctest.DocTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sluice, "open_channel", lambda *_arguments, **_settings: _channel())
    found = doctest.DocTestRunner(verbose=False).run(block)
    assert found.attempted > 0
    assert found.failed == 0
