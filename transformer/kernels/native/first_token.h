// Attention of the first token of a sequence. With a single query, q . (W_K y_j) = (q W_K) . y_j, and the sum of
// p_j W_V y_j is W_V applied to the sum of p_j y_j: no token needs a key or a value.
#pragma once
#include <algorithm>
#include <cmath>

#include "elementwise.h"
#include "threads.h"
#include "weights.h"

namespace vecformer {

// Intermediate results for one sequence.
struct FirstTokenState {
    float* q;                // (d), scaled
    float *q_wk, *context;   // (n_heads, d): q W_K of each head, and the average of y weighted by the pattern
    float* pattern;          // (n_heads, length), rows `stride` apart: attention weights
    long stride;
};

// Softmax in place; `scores` has room for whole vectors.
inline void softmax(float* scores, long n) {
    const float shift = *std::max_element(scores, scores + n) * LOG2_E;
    Vec sum = zero();
    for (long j = 0; j < n; j += LANES) {
        const Vec e =
            mask_zero(mask_first(n - j), exp2<FAST_MATH>(load(scores + j) * set1(LOG2_E) - set1(shift)));
        sum = sum + e;
        store(scores + j, e);
    }
    const Vec scale = set1(1 / reduce_add(sum));
    for (long j = 0; j < n; j += LANES) store(scores + j, load(scores + j) * scale);
}

// Compute `out`, (d), the input of the output projection, from y, (length, d), the input of the attention. The bias of
// the keys adds the same to every score and is left out.
inline void first_token_attention(const Affine* linears, long d, long n_heads, const float* y, long length,
                                  const FirstTokenState& state, float* out) {
    const long d_head = d / n_heads, padded = round_up(length, LANES);
    const float scale = 1 / std::sqrt(float(d_head));
    const Affine &query = linears[QUERY], &value = linears[VALUE];
    float* scores = scratch.alloc<float>(padded);
    std::fill_n(scores, padded, 0.0f);
    for (long e = 0; e < d; ++e) state.q[e] = scale * (dot(query.weight + e * d, y, d) + query.bias[e]);
    for (long h = 0; h < n_heads; ++h) {
        float *const q_wk = state.q_wk + h * d, *const context = state.context + h * d;
        std::fill_n(q_wk, d, 0.0f);
        std::fill_n(context, d, 0.0f);
        for (long e = h * d_head; e < (h + 1) * d_head; ++e) axpy(state.q[e], linears[KEY].weight + e * d, d, q_wk);
        for (long j = 0; j < length; ++j) scores[j] = dot(q_wk, y + j * d, d);
        softmax(scores, length);
        for (long j = 0; j < length; ++j) axpy(scores[j], y + j * d, d, context);
        std::copy_n(scores, length, state.pattern + h * state.stride);
        for (long e = h * d_head; e < (h + 1) * d_head; ++e)
            out[e] = dot(value.weight + e * d, context, d) + value.bias[e];
    }
}

}  // namespace vecformer
