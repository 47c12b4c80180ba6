"""The command ``sluice completion``."""

from __future__ import annotations

import sys
from typing import Literal

from sluice.cli.app import COMMANDS, make_app


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print the script that completes commands and options in a shell.

    For bash: sluice completion bash > ~/.local/share/bash-completion/completions/sluice. For zsh,
    save it as _sluice in a folder of $fpath. For fish, save it as
    ~/.config/fish/completions/sluice.fish.

    Parameters
    ----------
    shell
        The shell to generate the script for.
    """
    script = make_app(*COMMANDS).generate_completion(prog_name="sluice", shell=shell)
    sys.stdout.write(script)
