// Scaled dot-product attention of one head over one sequence, forward and backward. Scores are computed for blocks of
// queries and stay in the cache.
#pragma once
#include <cmath>
#include <limits>

#include "gemm.h"
#include "threads.h"

namespace vecformer {

// Inputs of one head for one sequence: (length, d_head) matrices with rows `stride` apart; d_head is a multiple of 16.
struct Head {
    const Activation *q, *k, *v;  // q is scaled by 1 / sqrt(d_head)
    long stride, length, d_head;
    bool causal;  // a token cannot attend to later tokens

    // Number of keys that queries before `end` can attend to.
    long n_keys(long end) const { return causal ? std::min(length, end) : length; }
    long packed_rows() const { return packed_length(length); }
    long padded_length() const { return round_up(length, 2 * LANES); }
};

constexpr long QUERY_BLOCK = 12;  // queries per block, a multiple of the tile height

// Pack K^T or V^T, (d_head, padded_length); columns past the sequence are zero.
inline void pack_rows_as_columns(const Head& head, const Activation* rows, Packed* packed) {
    for (long n = 0; n < head.padded_length(); n += LANES)
        pack_panel_transposed(rows, head.stride, head.length, head.d_head, n,
                              packed + n / LANES * head.d_head / K_PACK * LANES);
}

// Products of n_rows rows of d_head elements with the first n_keys packed columns.
inline void row_products(const Head& head, const Activation* rows, long stride, long n_rows, long n_keys,
                         const Packed* columns, float* products) {
    gemm(rows, stride / K_PACK, n_rows, columns, head.d_head / K_PACK * LANES, head.d_head / K_PACK,
         round_up(n_keys, LANES), products, head.padded_length());
}

// out = softmax(Q K^T) V (Vaswani et al. 2017, equation 1). Rows of `out` are out_stride apart. Unless it is null, lse
// receives the base-2 log-sum-exp of each row of scores, log2(sum exp(score)).
inline void attention_forward(const Head& head, Activation* out, long out_stride, float* lse) {
    const long length = head.length, d_head = head.d_head, padded = head.padded_length();
    scratch.clear();
    Packed* keys = scratch.alloc<Packed>(padded * d_head / K_PACK);
    Packed* values = scratch.alloc<Packed>(head.packed_rows() * d_head);
    float* scores = scratch.alloc<float>(QUERY_BLOCK * padded);
    Activation* pattern = scratch.alloc<Activation>(QUERY_BLOCK * padded);  // exp(score - maximum), unnormalised
    float* block_out = scratch.alloc<float>(QUERY_BLOCK * d_head);
    pack_rows_as_columns(head, head.k, keys);
    pack_matrix(head.v, head.stride, length, d_head, values);

    for (long i = 0; i < length; i += QUERY_BLOCK) {
        const long rows = std::min(QUERY_BLOCK, length - i), width = round_up(head.n_keys(i + rows), LANES);
        float scale[QUERY_BLOCK];
        row_products(head, head.q + i * head.stride, head.stride, rows, width, keys, scores);
        for (long r = 0; r < rows; ++r) {
            const long n_keys = head.n_keys(i + r + 1), full = n_keys / LANES * LANES;
            const Mask tail = mask_first(n_keys - full);
            const float* row = scores + r * padded;
            Vec maximum = set1(-std::numeric_limits<float>::infinity());
            for (long j = 0; j < full; j += LANES) maximum = max(maximum, load(row + j));
            if (full < n_keys) maximum = max(maximum, select(tail, load(row + full), maximum));
            const float shift = reduce_max(maximum) * LOG2_E;
            Vec sum = zero();
            const auto shifted_exp = [&](long j) {
                return exp2<FAST_MATH>(load(row + j) * set1(LOG2_E) - set1(shift));
            };
            for (long j = 0; j < full; j += LANES) {
                const Vec e = shifted_exp(j);
                sum = sum + e;
                store(pattern + r * padded + j, e);
            }
            for (long j = full; j < width; j += LANES) {  // the last keys of this query, and zeros for masked keys
                const Vec e = mask_zero(mask_first(n_keys - j), shifted_exp(j));
                sum = sum + e;
                store(pattern + r * padded + j, e);
            }
            const float total = reduce_add(sum);
            scale[r] = 1 / total;
            if (lse) lse[i + r] = shift + std::log2(total);
        }
        gemm(pattern, padded / K_PACK, rows, values, head.packed_rows() * LANES,
             std::min(width / K_PACK, head.packed_rows()), d_head, block_out, d_head);
        for (long r = 0; r < rows; ++r)
            for (long c = 0; c < d_head; c += LANES)
                store(out + (i + r) * out_stride + c, load(block_out + r * d_head + c) * set1(scale[r]));
    }
}

// Gradients of queries, keys and values from `dout`, the gradient of `out`. Rows of out and dout are out_stride apart;
// dq, dk and dv have the layout of q, k and v. The attention weights are recomputed from lse (Dao et al. 2022, arXiv
// 2205.14135, algorithm 4).
inline void attention_backward(const Head& head, const Activation* out, const Activation* dout, long out_stride,
                               const float* lse, Activation* dq, Activation* dk, Activation* dv) {
    const long length = head.length, d_head = head.d_head, padded = head.padded_length(), k = head.packed_rows();
    scratch.clear();
    Packed* keys_t = scratch.alloc<Packed>(padded * d_head / K_PACK);    // K^T
    Packed* values_t = scratch.alloc<Packed>(padded * d_head / K_PACK);  // V^T
    Packed* keys = scratch.alloc<Packed>(k * d_head);                    // K
    Packed* queries = scratch.alloc<Packed>(k * d_head);                 // Q
    Packed* grads = scratch.alloc<Packed>(k * d_head);                   // dout
    Packed* pattern = scratch.alloc<Packed>(k * padded);                 // attention weights, (length, keys), packed
    Packed* d_scores = scratch.alloc<Packed>(k * padded);                // gradient of the scores, likewise
    float* scores = scratch.alloc<float>(QUERY_BLOCK * padded);
    float* d_pattern = scratch.alloc<float>(QUERY_BLOCK * padded);
    Activation* d_scores_rows = scratch.alloc<Activation>(QUERY_BLOCK * padded);
    float* block = scratch.alloc<float>(QUERY_BLOCK * d_head);
    pack_rows_as_columns(head, head.k, keys_t);
    pack_rows_as_columns(head, head.v, values_t);
    pack_matrix(head.k, head.stride, length, d_head, keys);
    pack_matrix(head.q, head.stride, length, d_head, queries);
    pack_matrix(dout, out_stride, length, d_head, grads);

    for (long i = 0; i < length; i += QUERY_BLOCK) {
        const long rows = std::min(QUERY_BLOCK, length - i), width = round_up(head.n_keys(i + rows), LANES);
        row_products(head, head.q + i * head.stride, head.stride, rows, width, keys_t, scores);
        row_products(head, dout + i * out_stride, out_stride, rows, width, values_t, d_pattern);
        float delta[QUERY_BLOCK];  // sum_j pattern_ij d_pattern_ij = out_i . dout_i
        for (long r = 0; r < rows; ++r) {
            Vec sum = zero();
            for (long c = 0; c < d_head; c += LANES)
                sum = fma(load(out + (i + r) * out_stride + c), load(dout + (i + r) * out_stride + c), sum);
            delta[r] = reduce_add(sum);
        }
        for (long r = 0; r < rows; r += 2) {  // pairs of rows, which bfloat16 packs into one
            const bool has_second = r + 1 < rows;
            const auto pattern_at = [&](long row, long j) {
                return exp2<FAST_MATH>(load(scores + row * padded + j) * set1(LOG2_E) - set1(lse[i + row]));
            };
            const auto store_pair = [&](long j, Vec p1, Vec p2) {
                const long at = r * padded + j, packed_at = j * k + (i + r) / K_PACK * LANES;
                const Vec g1 = p1 * (load(d_pattern + at) - set1(delta[r]));
                const Vec g2 = has_second ? p2 * (load(d_pattern + at + padded) - set1(delta[r + 1])) : zero();
                store(d_scores_rows + at, g1);
                if (has_second) store(d_scores_rows + at + padded, g2);
                store_packed_rows(pattern + packed_at, p1, p2, has_second);
                store_packed_rows(d_scores + packed_at, g1, g2, has_second);
            };
            const long full = has_second ? head.n_keys(i + r + 1) / LANES * LANES : 0;  // both rows attend to all keys
            for (long j = 0; j < full; j += LANES) store_pair(j, pattern_at(r, j), pattern_at(r + 1, j));
            for (long j = full; j < width; j += LANES) {
                const Mask first = mask_first(head.n_keys(i + r + 1) - j);
                const Mask second = mask_first(head.n_keys(i + r + 2) - j);
                store_pair(j, mask_zero(first, pattern_at(r, j)),
                           has_second ? mask_zero(second, pattern_at(r + 1, j)) : zero());
            }
            for (long j = width; j < padded && head.causal; j += LANES) {  // keys that are masked for both rows
                const long packed_at = j * k + (i + r) / K_PACK * LANES;
                store_packed_rows(pattern + packed_at, zero(), zero(), has_second);
                store_packed_rows(d_scores + packed_at, zero(), zero(), has_second);
            }
        }
        gemm(d_scores_rows, padded / K_PACK, rows, keys, k * LANES, std::min(width / K_PACK, k), d_head, block, d_head);
        for (long r = 0; r < rows; ++r)
            for (long c = 0; c < d_head; c += LANES)
                store(dq + (i + r) * head.stride + c, load(block + r * d_head + c));
    }
    const auto sum_over_queries = [&](const Packed* weights, const Packed* rows, Activation* dst) {  // weights^T rows
        for (long j = 0; j < length; j += TILE_MR_T) {
            gemm_tn<false>(weights + j / LANES * LANES * k + j % LANES, TILE_MR_T, rows, k, d_head, block, d_head);
            for (long r = 0; r < std::min(TILE_MR_T, length - j); ++r)
                for (long c = 0; c < d_head; c += LANES)
                    store(dst + (j + r) * head.stride + c, load(block + r * d_head + c));
        }
    };
    sum_over_queries(pattern, grads, dv);
    sum_over_queries(d_scores, queries, dk);
}

}  // namespace vecformer
