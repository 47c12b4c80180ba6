"""One stack for all end-to-end tests, and a channel of its own for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.emulator import CREDENTIALS
from local.stack import run_stack
from testkit.deployed import Channel, Deployed

_HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before -m looks at the markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(autouse=True)
def _emulator_takes_these(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The stack, with the shortest debounce that there is, and with all that it has to tell."""
    home = tmp_path_factory.mktemp("stack")
    with run_stack(home, debounce_seconds=3, parameters={"LogLevel": "DEBUG"}) as stack:
        deployed = Deployed(stack)
        deployed.wait_until_quiet()  # S3 has sent its test event
        yield deployed


@pytest.fixture(scope="module")
def make_channel(deployed: Deployed) -> Iterator[Callable[[str], Channel]]:
    """Make channels by name; at the end of the module nothing may be left of any work in them."""
    errors_before = len(deployed.errors())
    yield lambda name: Channel(deployed, name)
    deployed.wait_until_quiet()
    assert deployed.depths() == dict.fromkeys(deployed.depths(), 0), deployed.describe()
    assert deployed.errors()[errors_before:] == []


@pytest.fixture
def channel(request: pytest.FixtureRequest, make_channel: Callable[[str], Channel]) -> Channel:
    """A channel that no other test knows."""
    return make_channel("e2e/" + re.sub(r"[^A-Za-z0-9_]+", "-", request.node.name))
