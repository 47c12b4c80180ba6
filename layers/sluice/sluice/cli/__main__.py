"""``python -m sluice.cli``: the same as ``sluice``."""

from sluice.cli.main import main

main()
