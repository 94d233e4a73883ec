"""Graphs compute what plain PyTorch computes, for any batch size, length and padding."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from transformer.config import ModelConfig
from transformer.export.onnx import OPSET, Graph, save_onnx
from transformer.kernels import engine
from transformer.layers.embedding import TokenEmbedding
from transformer.models.heads import ClassificationHead, ClsHead, PairHead, SpanHead, TokenHead
from transformer.models.models import LanguageModel, MaskedLanguageModel, TransformerModel
from transformer.models.stack import Decoder, Encoder

WIDTH, N_WORDS = 16, 30
HEADS = {
    "cls": lambda: ClsHead(d_model=WIDTH, n_classes=3),
    "mean-max": lambda: ClassificationHead(d_model=WIDTH, n_classes=3),
    "pair": lambda: PairHead(d_model=WIDTH, n_classes=3),
    "span": lambda: SpanHead(d_model=WIDTH),
    "token": lambda: TokenHead(d_model=WIDTH, n_outputs=5),
}
SHAPES = {
    "sinusoidal": ("cls", {"positions": "sinusoidal", "convolutions": (3, 5)}, WIDTH),
    "rotary, post-norm, projected": ("mean-max", {"positions": "rotary", "norm": "post", "activation": "swiglu"}, 12),
    "alibi, pairs": ("pair", {"positions": "alibi", "activation": "relu", "token_types": 4, "n_heads": 2}, WIDTH),
    "learned, as BERT": ("span", {"positions": "learned", "norm": "post", "embedding_norm": True, "token_types": 2,
                                  "activation": "gelu-tanh"}, WIDTH),
    "no positions": ("token", {"positions": "none", "token_types": 6, "position_scale": 0.5}, 12),
    "language model": ("lm", {"positions": "rotary"}, 12),
    "untied language model": ("lm", {"positions": "alibi", "tied": False}, WIDTH),
    "masked language model": ("mlm", {"positions": "sinusoidal", "position_scale": 0.3}, 12),
}


def build(kind, options, dim):
    torch.manual_seed(0)
    config = ModelConfig(**{"d_model": WIDTH, "n_heads": 4, "d_ff": 24, **options})
    embedding = TokenEmbedding(n_words=N_WORDS, dim=dim, d_model=WIDTH)
    if kind == "lm":
        model = LanguageModel(decoder=Decoder(config=config, embedding=embedding), config=config)
    elif kind == "mlm":
        model = MaskedLanguageModel(encoder=Encoder(config=config, embedding=embedding), config=config)
    else:
        model = TransformerModel(encoder=Encoder(config=config, embedding=embedding), head=HEADS[kind]())
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
        embedding.weight[0] = 0.0
    return model.eval(), config


@pytest.mark.parametrize("name", SHAPES)
def test_a_graph_computes_the_model_for_any_batch(name, tmp_path):
    kind, options, dim = SHAPES[name]
    model, config = build(kind, options, dim)
    path = tmp_path / "model.onnx"
    save_onnx(Graph(model, n_positions=40), path)
    assert onnx.load(path).opset_import[0].version == OPSET
    session = onnxruntime.InferenceSession(str(path))
    for n, length in ((1, 1), (1, 9), (5, 40), (2, 13), (7, 3)):
        ids = torch.randint(1, N_WORDS + 5, (n, length))
        for row in range(1, n):
            ids[row, length - row % length:] = 0 if row % length else ids[row, 0]
        types = torch.randint(0, 2, (n, length)) if config.token_types else None
        if types is not None:
            types[:, 0] = 0
        if n == 7:
            ids[3] = 0  # a text without tokens
        with torch.inference_mode(), engine.use("torch"):
            expected = (model(ids, torch.ones_like(ids, dtype=torch.bool)).view(n, length, -1) if kind == "mlm" else
                        model(ids) if types is None else model(ids, types))
        given = {"input_ids": ids.numpy()} | ({} if types is None else {"token_type_ids": types.numpy()})
        (found,) = session.run(["logits"], given)
        assert found.shape == tuple(expected.shape)
        real = (ids != 0).numpy() if expected.dim() == 3 else slice(None)  # positions of padding have no meaning
        assert np.abs(found[real] - expected.numpy()[real]).max(initial=0) < 1e-4


def test_padding_may_be_on_either_side(tmp_path):
    model, _ = build("mean-max", {"positions": "sinusoidal"}, WIDTH)
    save_onnx(Graph(model, n_positions=40), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    text = np.array([[7, 8, 9]])
    expected = session.run(None, {"input_ids": text})[0]
    for before, after in ((0, 4), (4, 0), (2, 3)):
        padded = np.pad(text, ((0, 0), (before, after)))
        assert np.abs(session.run(None, {"input_ids": padded})[0] - expected).max() < 1e-5


def test_texts_longer_than_the_graph_are_refused(tmp_path):
    model, _ = build("mean-max", {"positions": "rotary"}, WIDTH)
    save_onnx(Graph(model, n_positions=8), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    assert session.run(None, {"input_ids": np.full((1, 8), 7)})[0].shape == (1, 3)
    with pytest.raises(Exception, match="out of"):
        session.run(None, {"input_ids": np.full((1, 9), 7)})


def test_the_model_is_not_changed():
    model, _ = build("cls", {"positions": "rotary"}, 12)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    modules = [type(module) for module in model.modules()]
    Graph(model, n_positions=8)
    assert [type(module) for module in model.modules()] == modules
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
