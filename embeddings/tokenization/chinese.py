"""Chinese word segmentation by jieba (extra ``zh``)."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from functools import cache
from typing import cast

from embeddings.errors import EmbeddingError

Segmenter = Callable[[str], list[str]]


@cache
def chinese_segmenter() -> Segmenter:
    """Return a function that splits a run of Han characters into words, whose concatenation is the run.

    The dictionary of jieba is read in each process (about a second). The cache file that jieba would use is in the
    temporary folder, where any user may have placed it.

    Raises:
        EmbeddingError: if jieba is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of jieba, about setuptools
            import jieba
    except ImportError as error:
        raise EmbeddingError("Chinese word segmentation needs the package jieba: pip install 'vecformer[zh]'; "
                             "or split by characters") from error
    jieba.setLogLevel(logging.WARNING)
    segmenter = jieba.Tokenizer()
    segmenter.FREQ, segmenter.total = segmenter.gen_pfdict(segmenter.get_dict_file())
    segmenter.initialized = True
    return cast(Segmenter, segmenter.lcut)
