// What a layer is made of, and how its rows are gone through.
#pragma once
#include <algorithm>

namespace vecformer {

struct Part {
    const float *weight, *bias;  // of a norm (d), (d); of a linear map (out, in), (out)
};

enum { QUERY, KEY, VALUE, OUTPUT, INNER, OUTER };

constexpr long BLOCK = 48;  // rows, whole tiles, that go through the products together, in the nearest cache

// Calls work(first, n) for the blocks of rows from `from` to `to`.
template <class Work>
void in_blocks(long from, long to, long size, const Work& work) {
    for (long first = from; first < to; first += size) work(first, std::min(size, to - first));
}

}  // namespace vecformer
