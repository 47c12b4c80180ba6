"""``python -m local.docs``: write those pages of ``docs/`` that the source makes."""

from __future__ import annotations

from local.docs.reference import parameters, stack
from local.docs.runbook import runbook
from local.template import TEMPLATE, read_template
from sluice.cli.reference import reference

DOCS = TEMPLATE.parent / "docs"


def pages() -> dict[str, str]:
    """Every page that is made, by its path in ``docs/``."""
    template = read_template()
    return {
        "how-to/runbook.md": runbook(template),
        "reference/cli.md": reference(),
        "reference/parameters.md": parameters(template),
        "reference/stack.md": stack(template),
    }


def main() -> None:
    """Write them."""
    for name, text in pages().items():
        (DOCS / name).write_text(text)
        print(DOCS / name)


if __name__ == "__main__":
    main()
