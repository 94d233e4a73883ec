"""Small subword tokenizers of each kind."""

from tokenizers import Tokenizer, decoders, models, normalizers, trainers
from tokenizers.pre_tokenizers import Metaspace

from embeddings.special_tokens import SPECIAL_TOKENS
from embeddings.tokenization.subword_training import parse_kind, train_subwords
from embeddings.tokenization.subwords import SubwordTokenizer

TEXTS = ["The parcel arrived late, and the box was broken.", "Nobody answered the telephone again.",
         "Ìròyìn láti Ìbàdàn: àwọn ọmọ ilé-ìwé", "the tester tests testing of tested tests"] * 3

SENTENCEPIECE = "sentencepiece"


def sentencepiece():
    """Return a tokenizer as SentencePiece writes it."""
    made = Tokenizer(models.Unigram())
    made.normalizer, made.pre_tokenizer, made.decoder = normalizers.NFKC(), Metaspace(), decoders.Metaspace()
    made.train_from_iterator(TEXTS, trainers.UnigramTrainer(vocab_size=200, special_tokens=list(SPECIAL_TOKENS),
                                                            unk_token="<unk>", show_progress=False))
    return SubwordTokenizer(made)


def made(name):
    return sentencepiece() if name == SENTENCEPIECE else train_subwords(parse_kind(f"{name},size=300"), TEXTS)
