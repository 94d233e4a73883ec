import gzip
import hashlib
import json
import socket
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
from gensim import downloader
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from embeddings import load_vectors
from embeddings.errors import EmbeddingError, SpecificationError

NAME = "glove-tiny-2"
PACKED = gzip.compress(b"3 2\nthe 1 2\ncat 3 4\ndog 5 6\n")
LISTED = {"checksum": hashlib.md5(PACKED).hexdigest(), "parts": 1, "file_name": f"{NAME}.gz"}
HARMFUL = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n"


COMMIT = "a" * 40


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Hub(Silent):
    """The part of the Hugging Face API that a download uses: the content of a repository, and its files."""

    def do_GET(self):
        files = [path for path in Path(self.directory).rglob("*") if path.is_file()]
        names = [path.relative_to(self.directory).as_posix() for path in files]
        if self.path.startswith("/api/models/me/tiny/revision/"):
            self.answer({"id": "me/tiny", "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]})
        elif self.path.startswith(f"/api/models/me/tiny/tree/{COMMIT}"):
            self.answer([{"type": "file", "path": name, "size": path.stat().st_size, "oid": name}
                         for name, path in zip(names, files, strict=True)])
        elif self.path.startswith(f"/me/tiny/resolve/{COMMIT}/"):
            super().do_GET()
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def translate_path(self, path):
        return super().translate_path(path.removeprefix(f"/me/tiny/resolve/{COMMIT}"))

    def end_headers(self):
        self.send_header("ETag", f'"{self.path.rpartition("/")[2]}"')
        self.send_header("X-Repo-Commit", COMMIT)
        super().end_headers()

    def answer(self, value):
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def serving(handler, folder):
    """Serve a folder, and yield the address of the server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def closed_port():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{closed.getsockname()[1]}"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty data folder of gensim."""
    monkeypatch.setattr(downloader, "BASE_DIR", str(tmp_path / "gensim-data"))
    return tmp_path / "gensim-data"


@pytest.fixture
def site(tmp_path, home, monkeypatch):
    """A replacement of gensim's server; yields its folder."""
    folder = tmp_path / "site"
    (folder / NAME).mkdir(parents=True)
    (folder / "list.json").write_text(json.dumps({"models": {NAME: LISTED}, "corpora": {"text8": {}}}))
    (folder / NAME / f"{NAME}.gz").write_bytes(PACKED)
    (folder / NAME / "__init__.py").write_text(HARMFUL)
    with serving(Silent, folder) as address:
        point_to(monkeypatch, address)
        yield folder


@pytest.fixture
def no_network(home, monkeypatch):
    with closed_port() as address:
        point_to(monkeypatch, address)
        yield


def point_to(monkeypatch, address):
    monkeypatch.setattr(downloader, "DOWNLOAD_BASE_URL", address)
    monkeypatch.setattr(downloader._load_info, "__defaults__", (f"{address}/list.json", "utf-8"))


@pytest.mark.reference("source", "gensim")
def test_vectors_are_downloaded_once_and_code_is_never_executed(site, home, capfd):
    told = []
    table = load_vectors(f"gensim:{NAME}", ["cat", "the"], progress=lambda what, share: told.append((what, share)))
    assert (table.words, table.vectors.tolist(), table.source) == (("cat", "the"), [[3, 4], [1, 2]], f"gensim:{NAME}")
    assert (f"downloading gensim:{NAME}", 1.0) in told
    assert capfd.readouterr() == ("", "")
    (site / NAME / f"{NAME}.gz").unlink()
    assert load_vectors(f"gensim:{NAME},limit=2").words == ("the", "cat")
    assert (home / NAME / "__init__.py").read_text() == HARMFUL
    assert not (home / NAME / "ran").exists()


def test_downloaded_vectors_need_no_network(home, no_network):
    (home / NAME).mkdir(parents=True)
    (home / NAME / "__init__.py").write_text(HARMFUL)
    (home / NAME / "vectors.txt").write_text("cat 3 4\n")
    assert load_vectors(f"gensim:{NAME}").vectors.tolist() == [[3, 4]]
    assert not (home / NAME / "ran").exists()


def test_missing_network_is_one_message(no_network, capfd):
    with pytest.raises(EmbeddingError, match=f"python -m gensim.downloader --download {NAME}") as caught:
        load_vectors(f"gensim:{NAME}")
    assert len(str(caught.value).splitlines()) == 1
    assert socket.getdefaulttimeout() is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("glove-tiny-3", f"no vectors of that name. Did you mean {NAME!r}? There are: {NAME}"),
        ("../site", "no vectors of that name"),
        ("text8", "a corpus, not vectors"),
    ],
)
def test_unknown_names_of_the_gensim_collection(site, name, message):
    with pytest.raises(SpecificationError) as caught:
        load_vectors(f"gensim:{name}")
    assert message in str(caught.value)


def test_broken_download_is_not_kept(site, home):
    (site / NAME / f"{NAME}.gz").write_bytes(PACKED[:-3])
    with pytest.raises(EmbeddingError, match=r"could not be downloaded .*Checksum comparison failed"):
        load_vectors(f"gensim:{NAME}")
    assert not (home / NAME).exists()


def test_downloaded_folder_without_its_file(home, no_network):
    (home / NAME).mkdir(parents=True)
    with pytest.raises(EmbeddingError, match="contains 0 files instead of one vector file; remove the folder"):
        load_vectors(f"gensim:{NAME}")


def test_downloaded_vectors_do_not_need_the_list(site, home, monkeypatch):
    first = load_vectors(f"gensim:{NAME}")
    (site / "list.json").unlink()
    assert np.array_equal(load_vectors(f"gensim:{NAME}").vectors, first.vectors)


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint with three tokens of dimension 2, and files that are not needed."""
    folder = tmp_path / "checkpoint"
    (folder / "onnx").mkdir(parents=True)
    tokenizer = Tokenizer(models.WordLevel({"the": 0, "cat": 1, "<unk>": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    save_file({"wte.weight": np.arange(6, dtype=np.float32).reshape(3, 2)}, folder / "model.safetensors")
    for unwanted in ("pytorch_model.bin", "onnx/model.safetensors", "README.md"):
        (folder / unwanted).write_bytes(b"anything")
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty local cache of Hugging Face checkpoints."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def point_hub_to(monkeypatch, address):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE",
                        address + "/{repo_id}/resolve/{revision}/{filename}")


def test_checkpoint_is_downloaded_once_without_unneeded_files(checkpoint, cache, monkeypatch):
    with serving(Hub, checkpoint) as address:
        point_hub_to(monkeypatch, address)
        assert load_vectors("hf:me/tiny", ["cat", "mouse"]).vectors.tolist() == [[2, 3]]
        with pytest.raises(EmbeddingError, match=r"me/other: .* has no checkpoint of that name"):
            load_vectors("hf:me/other")
    (fetched,) = cache.glob("models--me--tiny/snapshots/*")
    assert {path.name for path in fetched.iterdir()} == {
        "tokenizer.json", "model.safetensors", "README.md"}  # the last one has the licence
    with closed_port() as address:
        point_hub_to(monkeypatch, address)
        assert load_vectors("hf:me/tiny").words == ("the", "cat")


@pytest.mark.parametrize("name", ["me/tiny", "gpt2", "json", "__main__"])
def test_missing_network_and_copy_is_one_message(name, cache, monkeypatch):
    with closed_port() as address:
        point_hub_to(monkeypatch, address)
        with pytest.raises(EmbeddingError, match=f"^{name}: no such folder.*hf download {name}") as caught:
            load_vectors(f"hf:{name}", ["cat"])
    assert len(str(caught.value).splitlines()) == 1
