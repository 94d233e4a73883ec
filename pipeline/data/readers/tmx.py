"""Translation memories: TMX 1.1 to 1.4b, the exchange format of translation tools.

A file has units ``<tu>`` with a variant ``<tuv xml:lang="en-US"><seg>text</seg></tuv>`` for each language.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from pipeline.errors import DataError

CODES = frozenset({"bpt", "ept", "it", "ph", "ut"})  # elements of a segment that contain codes, not text
MAX_DEPTH = 100
SHOWN = 20

_SPACE = re.compile(r"[ \t\r\n]+")


@dataclass
class Unit:
    """A translation unit: the line on which it begins, and its texts by language code."""

    line: int
    texts: dict[str, str] = field(default_factory=dict)

    def text(self, language: str) -> str:
        """Return the text in a language: of the same code, or else of the same main language; "" if there is none."""
        code = matching(language, self.texts)
        return self.texts[code] if code else ""


@dataclass
class Memory:
    """A translation memory.

    Attributes:
        source: language code of the source texts, from the header; "" for none in particular.
        units: the units.
        n_alternatives: number of further variants in a language that a unit has already; they are not read.
    """

    source: str = ""
    units: list[Unit] = field(default_factory=list)
    n_alternatives: int = 0

    def languages(self) -> Counter[str]:
        """Return the language codes, with the number of units that have each."""
        return Counter(code for unit in self.units for code in unit.texts)

    def pair(self) -> tuple[str, ...]:
        """Return the two languages, that of the header first, or else in alphabetical order; () if there are not two.

        Codes that differ in the region only are one language.
        """
        codes = sorted(self.languages())
        main = sorted({main_language(code) for code in codes})
        found = main if len(main) == 2 else codes
        if len(found) != 2:
            return ()
        first = matching(self.source, found) or found[0]
        return first, next(code for code in found if code != first)


class _Enough(Exception):  # noqa: N818 -- not an error
    """Raised when the requested number of units has been read."""


def read_tmx(path: Path, content: bytes, encoding: str = "", max_units: int | None = None) -> Memory:
    """Read a translation memory.

    The text of a segment is read without the codes in it; white space is one space. External files are not opened, and
    entities that the file declares are refused.

    Args:
        path: the file, for messages.
        content: its bytes.
        encoding: its encoding; "" for the declared one.
        max_units: number of units to read; None for all.

    Raises:
        DataError: if it is not XML, declares entities or has no unit; the message names the line.
    """
    memory = Memory()
    try:
        parser = expat.ParserCreate(encoding or None)
        handler = _Handler(path, memory, parser, max_units)
        parser.buffer_text = True
        parser.StartElementHandler = handler.start
        parser.EndElementHandler = handler.end
        parser.CharacterDataHandler = handler.text
        parser.EntityDeclHandler = handler.refuse_entity
        parser.Parse(content, True)
    except _Enough:
        pass
    except DataError:
        raise
    except expat.ExpatError as error:
        raise DataError(f"{path}:{error.lineno}: not XML ({expat.ErrorString(error.code)} at column "
                        f"{error.offset + 1})") from error
    except (LookupError, ValueError) as error:  # an encoding that Python does not have
        raise DataError(f"{path}: XML in an encoding that cannot be read ({error})") from error
    if not memory.units:
        raise DataError(f"{path}: no translation unit <tu> with a text; expected TMX")
    return memory


def matching(language: str, codes: Sequence[str] | Mapping[str, Any]) -> str:
    """Return the code of a language: the same one in any case, or else one with the same main language; "" for none."""
    folded = _folded(language)
    same = [code for code in codes if _folded(code) == folded]
    main = [code for code in codes if main_language(code) == main_language(language)]
    return next(iter([*same, *main]), "") if language else ""


def main_language(code: str) -> str:
    """Return a language code without region: ``en`` for ``en-US``."""
    return _folded(code).partition("-")[0]


def _folded(code: str) -> str:
    return code.lower().replace("_", "-")


class _Handler:
    """Collect the units of a file while it is parsed."""

    def __init__(self, path: Path, memory: Memory, parser: Any, max_units: int | None) -> None:
        self.path, self.memory, self.parser, self.max_units = path, memory, parser, max_units
        self.depth = 0
        self.unit: Unit | None = None
        self.language = ""
        self.pieces: list[str] | None = None  # of the segment that is open
        self.in_code = 0                      # open elements from the outermost one with codes

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Open an element."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise DataError(f"{self._where}: elements are nested more than {MAX_DEPTH} deep; not TMX")
        if name == "header":
            self.memory.source = "" if attributes.get("srclang") == "*all*" else attributes.get("srclang", "")
        elif name == "tu":
            self.unit = Unit(self.parser.CurrentLineNumber)
        elif name == "tuv":
            self.language = (attributes.get("xml:lang") or attributes.get("lang") or "").strip()
            if not self.language:
                raise DataError(f"{self._where}: <tuv> without a language; add xml:lang")
        elif name == "seg":
            self.pieces, self.in_code = [], 0
        elif self.in_code or name in CODES:
            self.in_code += 1

    def end(self, name: str) -> None:
        """Close an element."""
        self.depth -= 1
        if name == "tu" and self.unit is not None:
            if self.unit.texts:
                self.memory.units.append(self.unit)
                if len(self.memory.units) == self.max_units:
                    raise _Enough
            self.unit = None
        elif name == "seg" and self.pieces is not None:
            if self.unit is not None and self.language:
                if self.language in self.unit.texts:
                    self.memory.n_alternatives += 1
                else:
                    self.unit.texts[self.language] = _SPACE.sub(" ", "".join(self.pieces)).strip(" ")
            self.pieces = None
        elif self.in_code:
            self.in_code -= 1

    def text(self, text: str) -> None:
        """Add text to the open segment, if it is not in an element with codes."""
        if self.pieces is not None and not self.in_code:
            self.pieces.append(text)

    def refuse_entity(self, name: str, *_: Any) -> None:
        """Refuse a declaration of an entity, with which a small file can expand to a large one."""
        raise DataError(f"{self._where}: the file declares the entity {name!r}; entities are not read, replace them by "
                        "their text")

    @property
    def _where(self) -> str:
        return f"{self.path}:{self.parser.CurrentLineNumber}"
