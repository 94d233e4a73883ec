"""The number of compiled matrix products that oneDNN keeps in this process."""

from __future__ import annotations

import os

CAPACITY = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"  # read by oneDNN with its first product
FEW = 16  # more than one batch needs: the products of one layer, which the others repeat


def keep_few_primitives() -> None:
    """Let oneDNN keep 16 products instead of 1,024, unless the environment has a number; before its first product.

    oneDNN compiles a product for each shape. Batches of texts differ in their numbers of tokens, so that products are
    rarely used again after their batch, and memory that is allocated between them cannot be returned.
    """
    os.environ.setdefault(CAPACITY, str(FEW))
