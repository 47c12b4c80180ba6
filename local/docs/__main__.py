"""``python -m local.docs``: write those pages of ``docs/reference/`` that the source makes."""

from __future__ import annotations

from local.docs.reference import parameters, stack
from local.template import TEMPLATE, read_template
from sluice.cli.reference import reference

REFERENCE = TEMPLATE.parent / "docs" / "reference"


def pages() -> dict[str, str]:
    """Every page that is made, by its name in ``docs/reference/``."""
    template = read_template()
    return {
        "cli.md": reference(),
        "parameters.md": parameters(template),
        "stack.md": stack(template),
    }


def main() -> None:
    """Write them."""
    for name, text in pages().items():
        (REFERENCE / name).write_text(text)
        print(REFERENCE / name)


if __name__ == "__main__":
    main()
