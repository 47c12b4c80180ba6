"""The functions that are measured are told what the template tells them."""

from __future__ import annotations

import pytest

from benchmarks.functions import Queues, variables
from benchmarks.worker import TIMEOUTS_SECONDS
from tests.support.template import GLOBAL_VARIABLES, TEMPLATE, properties

QUEUES = Queues("upload", "slow-upload", "merge", "reconcile")


@pytest.mark.parametrize("name", ["extract", "merge", "reconcile"])
def test_a_measured_function_has_every_variable_of_the_template(name: str) -> None:
    own = properties(f"{name.title()}Function")["Environment"]["Variables"]
    told = variables(name, "channel", "state", QUEUES)
    assert {*GLOBAL_VARIABLES, *own} - told.keys() == set()


def test_channels_that_are_measured_have_the_templates_defaults() -> None:
    told = variables("merge", "channel", "state", QUEUES)
    defaults = {key: str(one["Default"]) for key, one in TEMPLATE["Parameters"].items()}
    assert (told["DEFAULT_OUTPUTS"], told["DEFAULT_TIMESTAMPS"], told["INDEX_CACHE_MAX_AGE"]) == (
        defaults["DefaultOutputs"],
        defaults["DefaultTimestamps"],
        defaults["IndexCacheMaxAge"],
    )


def test_a_measured_function_has_as_much_time_as_the_template_gives_it() -> None:
    told = {name: properties(f"{name.title()}Function")["Timeout"] for name in TIMEOUTS_SECONDS}
    assert told == TIMEOUTS_SECONDS
