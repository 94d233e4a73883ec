"""Gzip, bzip2, xz and Zstandard are read alike, wherever a file of text or vectors is read."""

import bz2
import gzip
import lzma
import random
import tarfile
import zipfile

import pytest
import zstandard

from embeddings import compressed_files
from embeddings.compressed_files import decompressed, read_decompressed
from embeddings.errors import CompressedFileError, CorpusError, VectorFileError
from embeddings.formats.detect import read_vectors
from embeddings.tokenization.corpus import CorpusFiles

PACKERS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress,
           "zstd": zstandard.ZstdCompressor(write_checksum=True).compress}
EACH = pytest.mark.parametrize(("kind", "pack"), PACKERS.items(), ids=PACKERS)
TEXT = "".join(f"w{i} {i} -0.5\n" for i in range(5000)).encode()


def write(folder, content, name="file"):
    (folder / name).write_bytes(content)
    return folder / name


@EACH
@pytest.mark.parametrize("content", [TEXT, b"", random.Random(0).randbytes(2**21 + 5), bytes(2**22)],
                         ids=["text", "empty", "noise", "zeros"])
def test_the_content_is_that_of_the_plain_file(tmp_path, kind, pack, content):
    assert read_decompressed(write(tmp_path, pack(content))) == content
    assert read_decompressed(write(tmp_path, pack(content) + pack(content))) == content + content


@EACH
def test_vectors_and_corpora(tmp_path, kind, pack):
    path = write(tmp_path, pack(TEXT))
    rows = read_vectors(path)
    assert (len(rows.words), rows.vectors[7].tolist()) == (5000, [7, -0.5])
    assert "".join(CorpusFiles((path,))) == TEXT.decode()


@EACH
def test_truncated_at_any_place(tmp_path, kind, pack):
    packed = pack(TEXT)
    cuts = [12, len(packed) // 2, len(packed) - 1] if kind != "zstd" else [7, len(packed) // 2, len(packed) - 1]
    for cut in cuts:
        path = write(tmp_path, packed[:cut])
        with pytest.raises(CompressedFileError, match=f"broken {kind} file .*; download or write it again"):
            read_decompressed(path)
        with pytest.raises(VectorFileError, match=f"broken {kind}"):
            read_vectors(path)
        with pytest.raises(CorpusError, match=rf"file:\d+: broken {kind}"):
            list(CorpusFiles((path,)))


@EACH
def test_damaged_or_followed_by_foreign_bytes(tmp_path, kind, pack):
    packed = bytearray(pack(TEXT))
    packed[len(packed) // 2] ^= 0x55
    second = bytearray(pack(TEXT))
    second[2:4] = b"??"  # the standard library's files of bzip2 and xz would leave this stream out
    for content in (bytes(packed), pack(TEXT) + b"foreign", pack(TEXT) + second):
        with pytest.raises(CompressedFileError, match=f"broken {kind}"):
            read_decompressed(write(tmp_path, content))


@pytest.mark.parametrize("padding", [b"\0" * 4, b"\0" * 2**21])
def test_padding_after_a_stream_is_passed_over(tmp_path, padding):
    for pack in (gzip.compress, lzma.compress):
        assert read_decompressed(write(tmp_path, pack(b"one") + padding)) == b"one"
    assert read_decompressed(write(tmp_path, lzma.compress(b"one") + padding + lzma.compress(b"two"))) == b"onetwo"


@EACH
def test_a_bomb_is_stopped_in_bounded_memory(tmp_path, monkeypatch, kind, pack):
    monkeypatch.setattr(compressed_files, "FREE_EXPANSION", 2**20)
    path = write(tmp_path, pack(bytes(2**26)))
    with pytest.raises(CompressedFileError, match="expands to more than 200 times its size"):
        read_decompressed(path)
    with pytest.raises(CorpusError, match="expands to more than 200 times"):
        list(CorpusFiles((path,)))


def test_a_header_that_asks_for_much_memory_is_refused(tmp_path):
    window = zstandard.ZstdCompressionParameters.from_level(1, window_log=30, enable_ldm=True)
    long_range = zstandard.ZstdCompressor(compression_params=window).compressobj()
    packed = long_range.compress(TEXT) + long_range.flush()
    with pytest.raises(CompressedFileError, match=r"needs more memory to unpack than allowed .*unpack it first"):
        read_decompressed(write(tmp_path, packed))
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**30}]
    with pytest.raises(CompressedFileError, match="needs more memory to unpack"):
        read_decompressed(write(tmp_path, lzma.compress(TEXT, filters=filters)))


def test_frames_without_a_size_and_skippable_frames_of_zstandard(tmp_path):
    stream = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    packed = stream.compress(TEXT) + stream.flush()
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0size"
    assert read_decompressed(write(tmp_path, skippable + packed + skippable + packed)) == TEXT + TEXT


@pytest.mark.parametrize(("start", "kind"), [(b"7z\xbc\xaf\x27\x1c", "7-Zip"), (b"Rar!\x1a\x07\x00", "RAR"),
                                             (b"\x04\x22\x4d\x18", "LZ4"), (b"\x1f\x9d\x90", "compress")])
def test_other_archives_are_named(tmp_path, start, kind):
    path = write(tmp_path, start + bytes(99))
    with pytest.raises(VectorFileError, match=f"{kind}.* files are not supported; decompress it first"):
        read_vectors(path)
    with pytest.raises(CorpusError, match=f"{kind}.* files are not supported"):
        list(CorpusFiles((path,)))


def test_tar_archives_are_named(tmp_path):
    with tarfile.open(tmp_path / "v.tar.gz", "w:gz") as archive:
        archive.add(write(tmp_path, TEXT), "v.txt")
    with pytest.raises(VectorFileError, match=r"v\.tar\.gz: tar archives are not supported; extract it first"):
        read_vectors(tmp_path / "v.tar.gz")
    with pytest.raises(CorpusError, match="tar archives are not supported"):
        list(CorpusFiles((tmp_path / "v.tar.gz",)))


def test_text_that_begins_like_a_bzip2_file_is_text(tmp_path):
    assert list(CorpusFiles((write(tmp_path, b"BZh9 is no bzip2 file\n"),))) == ["BZh9 is no bzip2 file\n"]


def test_members_of_zip_archives_in_any_compression(tmp_path):
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / "v.zip", "w", method) as archive:
            archive.writestr("v.txt", TEXT)
        assert len(read_vectors(f"{tmp_path / 'v.zip'}!v.txt").words) == 5000
        content = bytearray((tmp_path / "v.zip").read_bytes())
        content[400:410] = bytes(10)
        with pytest.raises(VectorFileError, match=r"broken zip|expected"):
            read_vectors(write(tmp_path, bytes(content), "broken.zip"))


def test_a_plain_file_is_returned_as_it_is(tmp_path):
    with write(tmp_path, TEXT).open("rb") as file:
        assert decompressed(file, "file") is file
