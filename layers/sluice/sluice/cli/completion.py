"""``sluice completion``."""

from __future__ import annotations

import sys
from typing import Literal

from sluice.cli.app import COMMANDS, make_app


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print the script that completes commands and options in a shell.

    For bash: sluice completion bash > ~/.local/share/bash-completion/completions/sluice. For zsh,
    as _sluice into a folder of $fpath; for fish, as ~/.config/fish/completions/sluice.fish.

    Parameters
    ----------
    shell
        The shell to complete in.
    """
    script = make_app(*COMMANDS).generate_completion(prog_name="sluice", shell=shell)
    sys.stdout.write(script)
