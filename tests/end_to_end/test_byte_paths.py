"""Every command with folders and files whose names are not UTF-8, as a user of the command line uses it."""

import gzip
import json
import os
import sys
import tempfile
import tomllib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from embeddings.table.paths import written
from pipeline import run
from pipeline.cli.main import cli
from pipeline.config import RunConfig
from tests.pipeline.data.readers.spreadsheet_files import write_xlsx

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")

TINY = ["--epochs", "2", "--set", "model.n_layers=1", "--set", "model.d_model=16", "--set", "model.n_heads=2", "--set",
        "model.d_ff=32", "--set", "model.like=bert", "--set", "data.unseen_words=20", "-q"]
ROWS = [(f"the parcel of number {i} never came", "delivery") for i in range(20)] + [
    (f"you charged me {i} times", "billing") for i in range(20)]


def named(name: bytes) -> str:
    return os.fsdecode(name)


DATA, VECTORS, CORPUS, RUN = map(named, (b"caf\xe9.csv", b"vec\xe9.txt", b"text\xe9.txt", b"r\xe9sultat"))


def vecformer(*arguments, code=0):
    """Call a command and return its output."""
    done = CliRunner().invoke(cli, list(map(str, arguments)))
    assert done.exit_code == code, (arguments, done.output, done.exception)
    assert done.output.encode()
    return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory, support):
    """A folder of such a name with data, vectors, text, and a finished run."""
    folder = tmp_path_factory.mktemp("bytes") / named(b"dossier\xe9")
    folder.mkdir()
    (folder / DATA).write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS))
    (folder / VECTORS).write_bytes((support / "vectors.txt").read_bytes())
    (folder / CORPUS).write_text("\n".join(text for text, _ in ROWS))
    before = Path.cwd()
    os.chdir(folder)
    try:
        vecformer("run", "--data", DATA, "--source", f"file:{VECTORS},limit=200", *TINY, "--out", RUN)
    finally:
        os.chdir(before)
    return folder


@pytest.fixture(autouse=True)
def here(home, monkeypatch):
    monkeypatch.chdir(home)


def test_the_files_of_the_run_are_utf8_and_repeat_it(home):
    for file in Path(RUN).iterdir():
        if file.suffix in (".toml", ".json", ".jsonl", ".html"):
            assert "\udce9" not in file.read_text("utf-8")
    config = tomllib.loads(Path(RUN, "config.toml").read_text("utf-8"))
    assert config["data"]["path"] == written(home / DATA)
    assert config["source"] == f"file:{written(home / VECTORS)},limit=200"
    first = json.loads(Path(RUN, "predictions.jsonl").read_text("utf-8").splitlines()[0])
    assert first["where"].startswith(written(DATA))
    vecformer("run", f"{RUN}/config.toml", "--out", written("again"), "-q")
    for name in ("model.safetensors", "config.toml", "predictions.jsonl", "embeddings.safetensors"):
        assert Path("again", name).read_bytes() == Path(RUN, name).read_bytes(), name


def test_the_commands_of_a_run(home):
    for path in (RUN, written(home / RUN)):
        assert vecformer("predict", path, "the parcel never came").endswith("\tthe parcel never came\n")
    measures = json.loads(vecformer("evaluate", RUN, "--data", DATA, "--json"))
    assert measures["n"] == len(ROWS)
    assert vecformer("predict", RUN, "--file", DATA).count("\n") == len(ROWS)
    assert vecformer("inspect", RUN, "--text", "the parcel", "--html", named(b"a\xe9.html")) == "wrote a\\xe9.html\n"
    assert "r\\xe9sultat" in Path(named(b"a\xe9.html")).read_text("utf-8")


def test_compare(home):
    other = named(b"r\xe9sultat-2")
    vecformer("run", f"{RUN}/config.toml", "--seed", "2", "--out", other, "-q")
    found = json.loads(vecformer("compare", RUN, other, "--json"))
    assert found["groups"][0]["runs"] == [written(RUN), written(other)]
    assert "caf\\xe9, accuracy" in vecformer("compare", RUN, other)


def test_an_interrupted_run_resumes_to_the_same_bytes(home):
    def stop(stage, fraction):
        if stage == "training" and fraction > 0.5:
            raise KeyboardInterrupt

    cut = named(b"coup\xe9")
    config = RunConfig.load(Path(RUN, "config.toml"))
    with pytest.raises(KeyboardInterrupt, match=f"--resume {written(cut)}"):
        run(config, cut, progress=stop)
    vecformer("run", "--resume", written(cut))
    for name in ("model.safetensors", "config.toml", "predictions.jsonl"):
        assert Path(cut, name).read_bytes() == Path(RUN, name).read_bytes(), name


def test_export_is_checked_and_read_as_a_source(home):
    exported = named(b"export\xe9")
    vecformer("export", RUN, "--to", "hf", "--out", exported)
    assert Path(exported, "model.safetensors").is_file()
    for source in (f"hf:{exported}", f"distill:{exported},dim=4"):
        summary = json.loads(vecformer("embed", "info", source, "--json"))
        assert summary["source"] == source.replace(exported, written(exported)).partition(",")[0]


def test_training_of_vectors_and_its_continuation(home, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(home))  # gensim reads a temporary file there
    first, second = named(b"1\xe9.safetensors"), named(b"2\xe9.safetensors")
    vecformer("embed", "train", CORPUS, "--source", "word2vec,dim=4,epochs=1,min_count=1", "--to", first)
    vecformer("embed", "train", CORPUS, "--source", f"word2vec,dim=4,epochs=1,start={first}", "--to", second)
    summary = json.loads(vecformer("embed", "info", second, "--json"))
    assert summary["source"] == f"file:{written(second)}"
    vecformer("run", "--data", DATA, "--source", "word2vec,dim=4", "--corpus", CORPUS, *TINY, "--out", "corpus")
    config = tomllib.loads(Path("corpus", "config.toml").read_text("utf-8"))
    assert config["corpus"] == [written(CORPUS)]


def test_the_other_commands_of_embed(home):
    vecformer("embed", "convert", RUN, "--to", named(b"tun\xe9.txt"))
    assert "parcel" in vecformer("embed", "neighbors", VECTORS, "the", "-n", "200")
    vecformer("embed", "coverage", VECTORS, "--text", CORPUS)
    vecformer("embed", "map", VECTORS, "--method", "pca", "--out", named(b"carte\xe9"))
    assert Path(named(b"carte\xe9.html")).is_file()
    assert Path(named(b"carte\xe9.png")).is_file()


def write_table(path, rows):
    """Write rows of text and label in the format of the suffix."""
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
        return
    if path.suffix == ".xlsx":
        write_xlsx(path, sheet=[list(rows[0]), *(list(row.values()) for row in rows)])
        return
    table = pa.Table.from_pylist(rows)
    with path.open("wb") as file:
        if path.suffix == ".parquet":
            pyarrow.parquet.write_table(table, file)
        else:
            with pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".jsonl.gz", ".xlsx"])
def test_tables_of_every_kind(suffix, home):
    data = home / named(b"table\xe9" + suffix.encode())
    write_table(data, [{"text": text, "label": label} for text, label in ROWS])
    assert json.loads(vecformer("evaluate", RUN, "--data", data, "--json"))["n"] == len(ROWS)


def test_benchmark(home):
    out = named(b"mesur\xe9")
    vecformer("benchmark", "--data", DATA, "--source", f"file:{VECTORS}", "--seeds", "1", "--jobs", "1", *TINY[2:-1],
              "--set", "training.epochs=1", "--out", out, "-q")
    summary = json.loads(Path(out, "summary.json").read_text("utf-8"))
    assert summary["n_runs"] == {"planned": 2, "done": 2, "failed": 0}
    assert written(home / DATA) in summary["command"]
    vecformer("benchmark", f"{out}/grid.toml", "--out", out, "-q")
