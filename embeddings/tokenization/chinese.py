"""Chinese by words: runs of Han characters cut by jieba (the extra ``zh``)."""

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
    """A function that cuts a run of Han characters into words; their concatenation is the run again.

    jieba's dictionary is read anew in each process (about a second). The cache that jieba would keep for that is a file
    which anybody may have put into the temporary folder.

    Raises:
        EmbeddingError: if jieba is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jieba's own, about its use of setuptools
            import jieba
    except ImportError as error:
        raise EmbeddingError("cutting Chinese into words needs the package jieba: pip install 'vecformer[zh]', "
                             "or cut it by characters") from error
    jieba.setLogLevel(logging.WARNING)
    cutter = jieba.Tokenizer()
    cutter.FREQ, cutter.total = cutter.gen_pfdict(cutter.get_dict_file())
    cutter.initialized = True
    return cast(Segmenter, cutter.lcut)
