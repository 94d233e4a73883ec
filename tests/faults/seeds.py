"""Sound files of every kind that the project reads: samples, fixtures, and files written by it and by others."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LARGEST = 20_000  # bytes; longer samples are cut at a line, so that reading takes a millisecond
BINARY = (".safetensors", ".checkpoint", ".parquet", ".xlsx", ".arrow", ".bin", ".npy")
COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda content: gzip.compress(content, mtime=0), ".bz2": bz2.compress, ".xz": lzma.compress,
}
ROWS: list[dict[str, Any]] = [{"text": f"Text {i}, grün; \"so\"", "label": "ab"[i % 2], "text_b": "other", "id": i,
                               "score": i / 2, "tokens": ["Ben", "ran"], "tags": ["B-x", "O"], "en": f"word {i}",
                               "de": f"Wort {i}"} for i in range(12)]


def zstandard(content: bytes) -> bytes:
    """Compress with Zstandard."""
    import zstandard

    return bytes(zstandard.ZstdCompressor().compress(content))


COMPRESSED[".zst"] = zstandard


def seeds(scratch: Path) -> dict[str, list[bytes]]:
    """Return sound files by the suffix of their names."""
    found: dict[str, list[bytes]] = {}

    def add(name: str, content: bytes) -> None:
        suffix = "".join(Path(name).suffixes[-2:]) if Path(name).suffix in COMPRESSED else Path(name).suffix
        if len(content) > LARGEST and Path(name).suffix not in (*BINARY, *COMPRESSED):
            content = content[: content.rfind(b"\n", 0, LARGEST) + 1]
        if content and content not in found.setdefault(suffix, []):
            found[suffix].append(content)

    for folder in (ROOT / "data", ROOT / "tests" / "fixtures"):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix not in (".md", ".html", ".sh", ".py"):
                add(path.name, path.read_bytes())
    for name, content in (*_written_by_hand(), *_tables(), *_vectors(scratch / "vectors"), *_arrow()):
        add(name, content)
    for suffix, compress in COMPRESSED.items():
        for plain in list(found):
            if plain.count(".") == 1 and plain not in COMPRESSED:
                for content in found[plain][:3] + found[plain][-3:]:
                    add(f"x{plain}{suffix}", compress(content))
    return found


def _written_by_hand() -> Iterable[tuple[str, bytes]]:
    lines = [("Ben", "NNP", "B-x"), ("ran", "VBD", "O"), ("home", "NN", "O")]
    answer = {"id": "1", "question": "Who ran?", "context": "Ben ran.",
              "answers": {"text": ["Ben"], "answer_start": [0]}}
    squad = {"data": [{"title": "t", "paragraphs": [{"context": "Ben ran.", "qas": [
        {"id": "1", "question": "Who?", "answers": [{"text": "Ben", "answer_start": 0}]},
        {"id": "2", "question": "Why?", "answers": [], "is_impossible": True}]}]}]}
    units = "".join(f"<tu><tuv xml:lang='en'><seg>one {i}</seg></tuv><tuv xml:lang='de'><seg>eins {i}</seg></tuv></tu>"
                    for i in range(6))
    yield "a.conll", "\n".join("\t".join(word) for word in lines).encode() + b"\n\n"
    yield "a.conllu", "\n".join(f"{i}\t{w}\t_\t{t}\t_\t_\t0\t_\t_\t_" for i, (w, t, _) in enumerate(lines, 1)).encode()
    numbered = "\n".join(f"{i}\t{word}\t{tag}" for i, (word, tag, _) in enumerate(lines, 1))
    yield "a.conllup", f"# global.columns = ID FORM UPOS\n{numbered}\n\n".encode()
    for name in ("a.iob", "a.iob2", "a.bio", "a.bmes", "a.txt"):
        yield name, "\n".join(f"{word} {tag}" for word, _, tag in lines).encode() + b"\n\n"
    yield "a.json", json.dumps(squad).encode()
    yield "b.json", json.dumps([answer] * 3).encode()
    yield "c.json", json.dumps({"data": ROWS}).encode()
    yield "d.json", json.dumps(ROWS, indent=1).encode()
    yield "a.jsonl", (json.dumps(answer) + "\n").encode() * 3
    yield "b.jsonl", "".join(json.dumps({"translation": {"en": f"word {i}", "de": f"Wort {i}"}}) + "\n"
                             for i in range(5)).encode()
    yield "a.tmx", ("<?xml version='1.0'?><tmx version='1.4'><header srclang='en'/><body>" + units
                    + "</body></tmx>").encode()
    yield "a.txt", b"__label__a A good film\n__label__b A bad one\n" * 4
    yield "b.txt", "Eins grün\nZwei\n\nDrei\n".encode("utf-16")
    yield "a.tsv", b"en\tde\none\teins\ntwo\tzwei\n"
    yield "b.csv", "sep=;\ntext;label\nGrün;a\nBlau;b\n".encode("cp1252")
    yield "grid.toml", b"sources = ['random', 'random,dim=8']\nseeds = 2\n[run]\ntask = 'classification'\n"


def _tables() -> Iterable[tuple[str, bytes]]:
    names = list(ROWS[0])
    for suffix, separator in ((".csv", ","), (".tsv", "\t"), (".csv", ";")):
        cells = [names, *([str(row[name]).replace('"', "'") for name in names] for row in ROWS)]
        quote = '"{}"'.format if suffix == ".csv" else str
        yield f"rows{suffix}", "\n".join(separator.join(map(quote, line)) for line in cells).encode()
    for suffix in (".jsonl", ".ndjson"):
        yield f"rows{suffix}", "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    shown = [names, *([str(row[name]) for name in names] for row in ROWS)]
    yield "rows.xlsx", workbook(shown)
    yield "rows.ods", opendocument(shown)


def workbook(rows: list[list[str]]) -> bytes:
    """Write a minimal Excel workbook."""
    from xml.sax.saxutils import escape

    cells = "".join("<row>" + "".join(f'<c t="inlineStr"><is><t>{escape(cell)}</t></is></c>' for cell in row)
                    + "</row>" for row in rows)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    package, office = (f"http://schemas.openxmlformats.org/{part}/2006" for part in ("package", "officeDocument"))
    sheet_type = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" ContentType='
        '"application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType='
        f'"application/xml"/><Override PartName="/xl/workbook.xml" ContentType="{sheet_type}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{sheet_type}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type='
        f'"{office}/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}/relationships"><sheets><sheet name="Data" '
        'sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type='
        f'"{office}/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + content)
    return packed.getvalue()


def opendocument(rows: list[list[str]]) -> bytes:
    """Write a minimal OpenDocument spreadsheet."""
    from xml.sax.saxutils import escape

    names = {name: f"urn:oasis:names:tc:opendocument:xmlns:{name}:1.0" for name in ("office", "table", "text")}
    cells = "".join("<table:table-row>" + "".join(
        f'<table:table-cell office:value-type="string"><text:p>{escape(cell)}</text:p></table:table-cell>'
        for cell in row) + "</table:table-row>" for row in rows)
    declared = " ".join(f'xmlns:{name}="{uri}"' for name, uri in names.items())
    packed = io.BytesIO()
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("mimetype", kind)
        archive.writestr("META-INF/manifest.xml", '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:'
                         f'xmlns:manifest:1.0"><manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"'
                         "/></manifest:manifest>")
        archive.writestr("content.xml", f"<office:document-content {declared}><office:body><office:spreadsheet>"
                         f'<table:table table:name="Data">{cells}</table:table></office:spreadsheet></office:body>'
                         "</office:document-content>")
    return packed.getvalue()


def _arrow() -> Iterable[tuple[str, bytes]]:
    import pyarrow
    import pyarrow.parquet

    names = {"info": {"features": {"label": {"names": ["a", "b"], "_type": "ClassLabel"},
                                   "text": {"dtype": "string", "_type": "Value"}}}}
    coded = [{**row, "label": "ab".index(row["label"])} for row in ROWS]
    for number, table in enumerate((pyarrow.Table.from_pylist(ROWS), pyarrow.Table.from_pylist(
            coded).replace_schema_metadata({"huggingface": json.dumps(names)}))):
        written = io.BytesIO()
        pyarrow.parquet.write_table(table, written)
        yield f"{number}.parquet", written.getvalue()
        for make in (pyarrow.ipc.new_stream, pyarrow.ipc.new_file):
            written = io.BytesIO()
            with make(written, table.schema) as writer:
                writer.write_table(table)
            for suffix in (".arrow", ".feather"):
                yield f"{number}{suffix}", written.getvalue()


def _vectors(scratch: Path) -> Iterable[tuple[str, bytes]]:
    """Write a table in every format with a writer, and with gensim."""
    import numpy as np
    from gensim.models import FastText
    from gensim.models.fasttext import save_facebook_model

    from embeddings.formats.detect import formats
    from embeddings.formats.writing import write_vectors
    from embeddings.table import EmbeddingTable

    scratch.mkdir(parents=True)
    words = ["the", "cat", "sät", "日本語", "dog"]
    table = EmbeddingTable.known(words, np.arange(15, dtype=np.float32).reshape(5, 3) / 7, "x")
    for one in formats():
        for suffix in one.suffixes:
            write_vectors(table, scratch / f"{one.name}{suffix}")
    model = FastText([words] * 9, vector_size=3, bucket=9, min_count=1, epochs=1, workers=1, seed=1)
    save_facebook_model(model, str(scratch / "model.bin"))
    model.wv.save(str(scratch / "gensim.kv"))
    model.wv.save_word2vec_format(str(scratch / "word2vec.bin"), binary=True)
    for path in sorted(scratch.iterdir()):
        yield path.name, path.read_bytes()


def companions(path: Path, sound: dict[str, list[bytes]]) -> list[Path]:
    """Write the files that belong to a file: the other language, the words of an array, the description of a table."""
    words, table = b"the\ncat\ns\xc3\xa4t\nx\ny\n", next(one for one in sound[".json"] if b"provenance" in one)
    wanted = {".npy": (".words.txt", words), ".safetensors": (".json", table)}
    suffix = "".join(path.suffixes)
    if suffix.startswith(".en"):
        wanted[suffix] = (suffix.replace(".en", ".de", 1), sound[suffix.replace(".en", ".de", 1)][0])
    if suffix not in wanted:
        return []
    other = path.with_name(path.name.removesuffix(suffix) + wanted[suffix][0])
    other.write_bytes(wanted[suffix][1])
    return [other]
