"""The examples in the API's documentation, run on a channel of two packages."""

from __future__ import annotations

import doctest
import importlib
from types import ModuleType

import pytest

import sluice
from sluice.operate.channel import Channel
from tests.support.operated import opened
from tests.support.staged import A, B, World


def _channel() -> Channel:
    world = World()
    for package in (A, B):
        world.add(package)
        world.merge()
    world.deliver()
    return opened(world)


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
