"""Phrases that are not standard English of the field do not come back into code, help, messages and documentation."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
AVOIDED = re.compile(
    r"\b(stands(?! for)|is told|are told|was met|is met by|goes through|gone through|looks on|nobody(?!/|-)|says of|"
    r"what is said|running words|hands on|gives? back|whoever|anew|what (?:nobody|somebody) reads|"
    r"goes on (?:as|with)|of their maker|brings? about)\b|~ nobody"
)
FILES = sorted({
    *(file for folder in ("embeddings", "transformer", "pipeline", "speed", "quality", "docs")
      for suffix in ("*.py", "*.md", "*.html", "*.js", "*.cpp", "*.h", "*.toml")
      for file in (ROOT / folder).rglob(suffix)),
    *ROOT.glob("*.md"), *ROOT.glob("*.py"), ROOT / "Makefile", *(ROOT / "data").rglob("*.md"),
} - set((ROOT / "docs" / "findings").rglob("*.html")))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_phrase_to_avoid(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    found = [f"{number}: {line.strip()}" for number, line in enumerate(lines, start=1)
             if AVOIDED.search(line.replace("~nobody", ""))]
    assert not found, f"{file.relative_to(ROOT)}: rephrase in standard terms\n" + "\n".join(found)
