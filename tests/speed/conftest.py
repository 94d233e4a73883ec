"""The scripts of speed/ find each other beside themselves; so do these tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "speed"))
