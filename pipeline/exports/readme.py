"""The ``README.md`` of an exported folder, with the metadata of the card of the run, and the card itself."""

from __future__ import annotations

import re
from pathlib import Path

from embeddings.table.atomic_files import write_atomically
from pipeline.errors import ExportError
from pipeline.runs.trained import TrainedRun

CARD = "CARD.md"
_FRONT_MATTER = re.compile(r"---\n(.*?\n)---\n+", re.DOTALL)


def write_readme(folder: Path, trained: TrainedRun, body: str, *, library: str) -> None:
    """Write how to use an exported folder, and ``CARD.md``: data, vectors, measures and limits of the run.

    The metadata of the card, which Hugging Face reads, precede the body. A run without a card has no ``CARD.md``.

    Args:
        folder: the exported folder.
        trained: the run.
        body: content of the file, from its title.
        library: the library that loads the folder.

    Raises:
        ExportError: if the card is not UTF-8 text.
    """
    card = _card(trained.folder / "README.md") if trained.folder else ""
    metadata = f"library_name: {library}\ntags:\n- vecformer\n"
    if found := _FRONT_MATTER.match(card):
        metadata = re.sub(r"^library_name: .*$", f"library_name: {library}", found[1], flags=re.MULTILINE)
    if card:
        write_atomically(folder / CARD, card[found.end() if found else 0:])
        body += f"\n`{CARD}` is the card of the run: its data, word vectors, measures and limits.\n"
    write_atomically(folder / "README.md", f"---\n{metadata}---\n\n{body}")


def _card(path: Path) -> str:
    """Return the card of a run, which its user may have edited or removed; "" without one."""
    try:
        return path.read_text(encoding="utf-8") if path.exists() or path.is_symlink() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"{path}: cannot be read as UTF-8 text ({error}); save it as UTF-8, or remove it to export "
                          "the run without its card") from error
