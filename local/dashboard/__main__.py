"""``python -m local.dashboard``: draw ``docs/dashboard.svg`` anew, after the template changed."""

from __future__ import annotations

from local.dashboard.definition import alarms, widgets
from local.dashboard.picture import render
from local.template import TEMPLATE, read_template

PICTURE = TEMPLATE.parent / "docs" / "dashboard.svg"


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(draw())
    print(PICTURE)


def draw() -> str:
    """The picture of what the template defines now."""
    template = read_template()
    return render(widgets(template), alarms(template))


if __name__ == "__main__":
    main()
