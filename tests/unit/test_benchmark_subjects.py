"""The functions that are measured are told what the template tells them."""

from __future__ import annotations

import pytest

from benchmarks.subjects import variables
from tests.support.template import GLOBAL_VARIABLES, TEMPLATE, properties


@pytest.mark.parametrize("name", ["extract", "merge"])
def test_a_measured_function_has_every_variable_of_the_template(name: str) -> None:
    own = properties(f"{name.title()}Function")["Environment"]["Variables"]
    told = variables(name, "channel", "state", "queue")
    assert {*GLOBAL_VARIABLES, *own} - told.keys() == set()


def test_channels_that_are_measured_have_the_templates_defaults() -> None:
    told = variables("merge", "channel", "state", "queue")
    defaults = {key: str(one["Default"]) for key, one in TEMPLATE["Parameters"].items()}
    assert (told["DEFAULT_OUTPUTS"], told["DEFAULT_TIMESTAMPS"], told["INDEX_CACHE_MAX_AGE"]) == (
        defaults["DefaultOutputs"],
        defaults["DefaultTimestamps"],
        defaults["IndexCacheMaxAge"],
    )
