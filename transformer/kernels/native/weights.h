// Weights of a layer, and the size of the blocks in which its rows are processed.
#pragma once
#include <algorithm>

#include "calls.h"

namespace vecformer {

// Indices into LayerWeights::linears.
enum { QUERY, KEY, VALUE, OUTPUT, FFN_INNER, FFN_OUTPUT };

constexpr long ROW_BLOCK = 48;  // rows, a multiple of all tile heights; their operands fit in the L1/L2 cache

// Call body(first, n) for each block of up to `size` rows of [begin, end).
template <class Body>
void for_each_block(long begin, long end, long size, const Body& body) {
    for (long first = begin; first < end; first += size) body(first, std::min(size, end - first));
}

}  // namespace vecformer
