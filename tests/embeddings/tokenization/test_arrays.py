"""Growing arrays: the result of NumPy's concatenation."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from embeddings.tokenization.arrays import SMALLEST, GrowingArray


@given(st.lists(st.integers(0, 3 * SMALLEST), max_size=6))
def test_the_array_is_that_of_all_parts(lengths):
    parts = [np.arange(length, dtype=np.int32) + number for number, length in enumerate(lengths)]
    growing = GrowingArray(np.int32)
    for part in parts:
        growing.append(part)
    made = growing.finished()
    assert made.dtype == np.int32
    assert np.array_equal(made, np.concatenate([*parts, np.zeros(0, dtype=np.int32)]))
