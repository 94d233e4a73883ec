"""Copy the Python files of :mod:`pipeline.exports.standalone` to an exported folder."""

from __future__ import annotations

from pathlib import Path

from embeddings.table.atomic_files import write_atomically
from pipeline.exports import standalone

PACKAGE = f"{standalone.__name__}."


def copy_files(folder: Path, *names: str, relative: bool = False) -> None:
    """Copy modules to a folder, where they import each other.

    Args:
        folder: the folder.
        names: names of the modules.
        relative: they are a package, as ``transformers`` expects of the code of a model.
    """
    home = Path(standalone.__path__[0])
    for name in names:
        text = (home / f"{name}.py").read_text(encoding="utf-8")
        write_atomically(folder / f"{name}.py", text.replace(f"from {PACKAGE}", "from ." if relative else "from "))
