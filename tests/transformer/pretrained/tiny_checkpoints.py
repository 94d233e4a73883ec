"""Tiny checkpoints of every architecture, with random weights, made by ``transformers``."""

import torch
import transformers as hf

N_TOKENS = 43
MAX_LENGTH = 14
SHAPE = {"vocab_size": N_TOKENS, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4,
         "intermediate_size": 24, "initializer_range": 0.3}
BERT = {**SHAPE, "max_position_embeddings": MAX_LENGTH}
ROBERTA = {**BERT, "max_position_embeddings": MAX_LENGTH + 2, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
DISTILBERT = {"vocab_size": N_TOKENS, "dim": 16, "n_layers": 3, "n_heads": 4, "hidden_dim": 24,
              "max_position_embeddings": MAX_LENGTH, "initializer_range": 0.3}
GPT2 = {"vocab_size": N_TOKENS, "n_embd": 16, "n_layer": 3, "n_head": 4, "n_inner": 24, "n_positions": MAX_LENGTH,
        "initializer_range": 0.3}

MODELS = {
    "bert": lambda **more: hf.BertForPreTraining(hf.BertConfig(**{**BERT, **more})),
    "roberta": lambda **more: hf.RobertaForMaskedLM(hf.RobertaConfig(**{**ROBERTA, **more})),
    "distilbert": lambda **more: hf.DistilBertForMaskedLM(hf.DistilBertConfig(**{**DISTILBERT, **more})),
    "electra": lambda **more: hf.ElectraForMaskedLM(hf.ElectraConfig(**{**BERT, "embedding_size": 12, **more})),
    "gpt2": lambda **more: hf.GPT2LMHeadModel(hf.GPT2Config(**{**GPT2, **more})),
}
"""Every architecture that can be read, with the head of its language model."""




def tiny_model(name, *, seed=0, **options):
    """A model with random weights, norms and biases included."""
    torch.manual_seed(seed)
    model = MODELS[name](**options).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 1:
                weight.add_(0.2 * torch.randn_like(weight))
    return model


def texts(model, batch, length, seed=0):
    """Ids of the checkpoint with padding on the right, token types, and the mask of real tokens."""
    torch.manual_seed(seed)
    padding = model.config.pad_token_id or 0
    ids = torch.randint(0, N_TOKENS - 1, (batch, length))
    ids[ids >= padding] += 1  # every id but that of padding, 0 included if it is another
    if padding:
        ids[:, 0] = 0
    mask = torch.arange(length) < torch.randint(1, length + 1, (batch, 1))
    mask[0] = True
    types = torch.randint(0, getattr(model.config, "type_vocab_size", 1), ids.shape)
    return torch.where(mask, ids, padding), types, mask


def own_ids(body, ids):
    """Exchange 0 and the id of padding, as ``load_stack`` exchanges their rows."""
    padding = body.padding_id or 0
    return torch.where(ids == 0, padding, torch.where(ids == padding, 0, ids))


def run_theirs(model, ids, types, mask, **options):
    """Run a model of ``transformers``."""
    more = {"token_type_ids": types} if getattr(model.config, "type_vocab_size", 0) else {}
    return model(ids, attention_mask=mask.long(), **more, **options)
