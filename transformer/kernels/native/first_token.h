// The attention of a text's first word. With one query, q . (W_K y_j) is (q W_K) . y_j, and the sum of p_j W_V y_j is
// W_V of the sum of p_j y_j: no word needs a key or a value (first_word in transformer/layers/attention.py).
#pragma once
#include <algorithm>
#include <cmath>

#include "weights.h"
#include "elementwise.h"
#include "threads.h"

namespace vecformer {

// What is found on the way: of a text, n_heads one below the other.
struct Found {
    float* query;         // (d), scaled
    float *asked, *seen;  // (n_heads, d): what each looks for, and the sum of what it looks at
    float* pattern;       // (n_heads, length), rows `stride` apart: softmax's weights
    long stride;
};

// Scores to softmax's weights, in place; there is room up to whole vectors.
inline void softmax(float* scores, long n) {
    const float top = *std::max_element(scores, scores + n) * LOG2_E;
    V sum = zeros();
    for (long j = 0; j < n; j += LANES) {
        const V e = only(lanes(n - j), exp2<ROUGH>(load(scores + j) * all(LOG2_E) - all(top)));
        sum = sum + e;
        store(scores + j, e);
    }
    const V share = all(1 / sum_of(sum));
    for (long j = 0; j < n; j += LANES) store(scores + j, load(scores + j) * share);
}

// From what a layer looks at, y (length, d), to what goes into its output's map, (d). The key's bias moves no weight.
inline void attend_first(const Part* linears, long d, long n_heads, const float* y, long length, const Found& to,
                         float* mixed) {
    const long d_head = d / n_heads, room = rounded_up(length, LANES);
    const float scale = 1 / std::sqrt(float(d_head));
    const Part &asking = linears[QUERY], &value = linears[VALUE];
    float* scores = scratch.take<float>(room);
    std::fill_n(scores, room, 0.0f);
    for (long e = 0; e < d; ++e) to.query[e] = scale * (product_of(asking.weight + e * d, y, d) + asking.bias[e]);
    for (long h = 0; h < n_heads; ++h) {
        float *const asked = to.asked + h * d, *const seen = to.seen + h * d;
        std::fill_n(asked, d, 0.0f);
        std::fill_n(seen, d, 0.0f);
        for (long e = h * d_head; e < (h + 1) * d_head; ++e)
            add_times(to.query[e], linears[KEY].weight + e * d, d, asked);
        for (long j = 0; j < length; ++j) scores[j] = product_of(asked, y + j * d, d);
        softmax(scores, length);
        for (long j = 0; j < length; ++j) add_times(scores[j], y + j * d, d, seen);
        std::copy_n(scores, length, to.pattern + h * to.stride);
        for (long e = h * d_head; e < (h + 1) * d_head; ++e)
            mixed[e] = product_of(value.weight + e * d, seen, d) + value.bias[e];
    }
}

}  // namespace vecformer
