"""What fuzzing starts from, and everything that it ever found, holds in every run of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.layers import LAYERS, scale_down
from tests.fuzz.seeds import CORPUS, SEEDS

FILES = sorted(path for path in CORPUS.glob("*/*") if path.is_file())


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_whatever_lies_in_the_corpus_gives_a_verdict_that_can_be_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scale_down(monkeypatch.setattr)
    LAYERS[path.parent.name](path.read_bytes())


def test_every_layer_has_a_corpus() -> None:
    assert {path.parent.name for path in FILES} == set(LAYERS) == set(SEEDS)
