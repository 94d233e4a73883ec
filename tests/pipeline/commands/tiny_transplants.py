"""Tiny random checkpoints of each architecture, with tokenizers trained on a few sentences."""


import torch
import transformers

from tests.embeddings.transplant.tiny_tokenizers import TEXTS, byte_level, roberta, unigram, wordpiece

BERT = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
ROBERTA = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>",
           "unk_token": "<unk>", "mask_token": "<mask>"}
GPT2 = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
         "max_position_embeddings": 96}
BERT_IDS = {"pad_token_id": 0}
ROBERTA_IDS = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "type_vocab_size": 1}

KINDS = {
    "bert": ("Bert", "ForMaskedLM", wordpiece, BERT, SIZES | BERT_IDS),
    "roberta": ("Roberta", "ForMaskedLM", roberta, ROBERTA, SIZES | ROBERTA_IDS),
    "distilbert": ("DistilBert", "ForMaskedLM", wordpiece, BERT,
                   {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, **BERT_IDS}),
    "electra": ("Electra", "ForMaskedLM", wordpiece, BERT, SIZES | {"embedding_size": 8} | BERT_IDS),
    "gpt2": ("GPT2", "LMHeadModel", byte_level, GPT2,
             {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 96, "bos_token_id": 0, "eos_token_id": 0}),
    "xlm-roberta": ("XLMRoberta", "ForMaskedLM", unigram, ROBERTA, SIZES | ROBERTA_IDS),
}


def write_checkpoint(folder, kind="bert", *, tied=True, tokenizer=None, extra_rows=0, dtype=torch.float32, **saving):
    """Write a random checkpoint whose output layer is tied to the embeddings or not; return its folder."""
    name, head, make, roles, sizes = KINDS[kind]
    tokenizer = tokenizer or make()
    torch.manual_seed(1)
    config = getattr(transformers, f"{name}Config")(
        vocab_size=tokenizer.get_vocab_size() + extra_rows, tie_word_embeddings=tied, **sizes)
    model = getattr(transformers, f"{name}{head}")(config)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith("bias"):
                parameter.copy_(torch.randn_like(parameter))
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles).save_pretrained(folder)
    model.to(dtype).save_pretrained(folder, **saving)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n\n# Tiny\n")
    return folder


__all__ = ["KINDS", "TEXTS", "write_checkpoint"]
