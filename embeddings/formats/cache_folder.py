"""The user's cache folder: ``VECFORMER_CACHE``, by default the platform's cache folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

OFF = ("", "off")


def cache_folder() -> Path | None:
    """Return the folder of the cache; None if it is disabled."""
    named = os.environ.get("VECFORMER_CACHE")
    if named is not None:
        return None if named.strip().lower() in OFF else Path(named).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "~/AppData/Local")
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "vecformer"
