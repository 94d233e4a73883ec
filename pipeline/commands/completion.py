"""Completion scripts of shells."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from click.shell_completion import get_completion_class

from pipeline.drawing.page import write_whole
from pipeline.errors import PipelineError

PROGRAM, VARIABLE = "vecformer", "_VECFORMER_COMPLETE"


class Installed(NamedTuple):
    """An installed script, and what remains to be done."""

    path: Path
    advice: str


def script(shell: str) -> str:
    """Return the script of a shell: ``bash``, ``zsh`` or ``fish``.

    Raises:
        PipelineError: for another shell.
    """
    found = get_completion_class(shell)
    if found is None:
        raise PipelineError(f"no completion for the shell {shell!r}; there is bash, zsh and fish")
    from pipeline.cli.main import cli

    made = found(cli, {}, PROGRAM, VARIABLE)
    return f"{(found.source_template % made.source_vars()).strip()}\n"


def install_script(shell: str, *, overwrite: bool = False) -> Installed:
    """Write the script of a shell to the user's folder of completions.

    Raises:
        PipelineError: if the file exists with other content and ``overwrite`` is not set.
        OSError: if it cannot be written.
    """
    path = place(shell)
    content = script(shell).encode()
    if path.exists() and path.read_bytes() != content and not overwrite:
        raise PipelineError(f"{path}: exists with other content; replace it with --overwrite")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    advice = {
        "bash": "start a new shell (it needs the package bash-completion), or type: source " + str(path),
        "fish": "it is active in new shells",
        "zsh": f"add this line to ~/.zshrc before compinit, and start a new shell: fpath+=({path.parent})",
    }[shell]
    return Installed(path, advice)


def place(shell: str) -> Path:
    """Return the file from which a shell loads the completion of the program."""
    home = Path.home()
    if shell == "fish":
        return Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "fish" / "completions" / f"{PROGRAM}.fish"
    if shell == "zsh":
        return Path(os.environ.get("ZDOTDIR") or home) / ".zfunc" / f"_{PROGRAM}"
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return data / "bash-completion" / "completions" / PROGRAM
