"""Links between Markdown files, as the site has them."""

from __future__ import annotations

import pytest

from local.docs.links import FROM_OUTSIDE, relocate
from tests.support.template import ROOT

SOURCE = "https://example.com/blob/main"


@pytest.mark.parametrize(
    ("page", "link", "becomes"),
    [
        ("index.md", "[a](docs/cost.md#x)", "[a](cost.md#x)"),
        ("index.md", "![a](docs/flow.svg)", "![a](flow.svg)"),
        ("index.md", "[a](benchmarks/README.md)", "[a](benchmarks/index.md)"),
        ("operations.md", "[a](../README.md#how-to-undo)", "[a](index.md#how-to-undo)"),
        ("how-to/patches.md", "[a](../../README.md)", "[a](../index.md)"),
        ("how-to/patches.md", "[a](../configuration.md)", "[a](../configuration.md)"),
        ("how-to/patches.md", "[a](public-channel.md)", "[a](public-channel.md)"),
        ("benchmarks/index.md", "[a](../docs/cost.md)", "[a](../cost.md)"),
        ("benchmarks/index.md", "[a](results.md)", "[a](results.md)"),
        ("benchmarks/index.md", "[`a`](worker.py)", f"[`a`]({SOURCE}/benchmarks/worker.py)"),
        ("cost.md", "[a](../benchmarks/cost.py)", f"[a]({SOURCE}/benchmarks/cost.py)"),
        ("benchmarks/index.md", "[a](../docs/benchmarks)", f"[a]({SOURCE}/docs/benchmarks)"),
        ("index.md", "[over\ntwo lines](docs/cost.md)", "[over\ntwo lines](cost.md)"),
        (
            "index.md",
            "- x\n\n  ```toml\n  a = 1\n  ```\n[a](docs/cost.md)",
            "- x\n\n  ```toml\n  a = 1\n  ```\n[a](cost.md)",
        ),
        ("cost.md", "[a](#here) [b](https://b.example)", "[a](#here) [b](https://b.example)"),
        ("cost.md", "```\n[a](../README.md)\n```", "```\n[a](../README.md)\n```"),
    ],
)
def test_a_link_between_files_becomes_one_between_pages(page: str, link: str, becomes: str) -> None:
    assert relocate(link, page, SOURCE, lambda _: None) == becomes


def test_without_a_place_for_the_source_a_link_to_it_is_its_text() -> None:
    outside: list[str] = []
    text = relocate("see [`a`](../local/a.py)", "cost.md", "", outside.append)
    assert text == "see `a`"
    assert outside == ["local/a.py"]


def test_the_files_from_outside_are_there() -> None:
    assert [path for path in FROM_OUTSIDE if not (ROOT / path).is_file()] == []
