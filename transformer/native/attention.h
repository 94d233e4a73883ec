// Attention of one head over one text, forward and backward, without its scores ever leaving the cache.
#pragma once
#include <cmath>
#include <limits>

#include "product.h"
#include "threads.h"

namespace vecformer {

// What a head reads of a text, and where it writes: rows are `stride` numbers apart, d_head (a multiple of 16) long.
struct Head {
    const bf16 *q, *k, *v;  // the queries are scaled already
    long stride, length, d_head;
    bool causal;  // a word sees those behind it not

    long keys_of(long rows_end) const { return causal ? std::min(length, rows_end) : length; }
    long n_pairs() const { return (length + 1) / 2; }
    long room() const { return rounded_up(length, 2 * LANES); }
};

// Which lanes of 16 keys from `first` on a query sees, of n_keys.
inline __mmask16 seen(long first, long n_keys) {
    const long n = n_keys - first;
    return n >= LANES ? 0xffff : n <= 0 ? 0 : __mmask16((1u << n) - 1);
}

// K^T or V^T in panels: scores come of it. `room()` columns, those past the text zero.
inline void pack_keys(const Head& head, const bf16* keys, Pair* panels) {
    for (long n = 0; n < head.room(); n += LANES)
        pack_transposed(keys, head.stride, head.length, head.d_head, n, panels + n / LANES * head.d_head / 2 * LANES);
}

inline void scores_of(const Head& head, const bf16* queries, long stride, long rows, long n_keys, const Pair* panels,
                      float* scores) {
    multiply(queries, stride / 2, rows, panels, head.d_head / 2 * LANES, head.d_head / 2, rounded_up(n_keys, LANES),
             scores, head.room());
}

// softmax(Q K^T) V (Vaswani et al. 2017, equation 1). `mixed` has rows of mixed_stride. log_sums, unless null, takes of
// each row the logarithm to base 2 of the sum of exp(scores).
inline void attend(const Head& head, bf16* mixed, long mixed_stride, float* log_sums) {
    const long length = head.length, d_head = head.d_head, room = head.room();
    scratch.clear();
    Pair* keys = scratch.take<Pair>(room * d_head / 2);
    Pair* values = scratch.take<Pair>(head.n_pairs() * d_head);
    float* scores = scratch.take<float>(TALL * room);
    bf16* pattern = scratch.take<bf16>(TALL * room);
    float* sums = scratch.take<float>(TALL * d_head);
    pack_keys(head, head.k, keys);
    pack_all(head.v, head.stride, length, d_head, values);

    for (long i = 0; i < length; i += TALL) {
        const long rows = std::min(TALL, length - i), width = rounded_up(head.keys_of(i + rows), LANES);
        float scale[TALL];
        scores_of(head, head.q + i * head.stride, head.stride, rows, width, keys, scores);
        for (long r = 0; r < rows; ++r) {
            const long n_keys = head.keys_of(i + r + 1), whole = n_keys / LANES * LANES;
            const __mmask16 rest = seen(whole, n_keys);
            const float* row = scores + r * room;
            V most = all(-std::numeric_limits<float>::infinity());
            for (long j = 0; j < whole; j += LANES) most = _mm512_max_ps(most, load(row + j));
            if (rest) most = _mm512_mask_max_ps(most, rest, most, load(row + whole));
            const float top = _mm512_reduce_max_ps(most) * LOG2_E;
            V sum = zeros();
            const auto raised = [&](long j) { return exp2(_mm512_fmsub_ps(load(row + j), all(LOG2_E), all(top))); };
            for (long j = 0; j < whole; j += LANES) {
                const V e = raised(j);
                sum = _mm512_add_ps(sum, e);
                store(pattern + r * room + j, e);
            }
            for (long j = whole; j < width; j += LANES) {  // the last keys that it sees, and those that others see
                const V e = _mm512_maskz_mov_ps(seen(j, n_keys), raised(j));
                sum = _mm512_add_ps(sum, e);
                store(pattern + r * room + j, e);
            }
            const float total = _mm512_reduce_add_ps(sum);
            scale[r] = 1 / total;
            if (log_sums) log_sums[i + r] = top + std::log2(total);
        }
        multiply(pattern, room / 2, rows, values, head.n_pairs() * LANES, std::min(width / 2, head.n_pairs()), d_head,
                 sums, d_head);
        for (long r = 0; r < rows; ++r)
            for (long c = 0; c < d_head; c += LANES)
                store(mixed + (i + r) * mixed_stride + c, _mm512_mul_ps(load(sums + r * d_head + c), all(scale[r])));
    }
}

// From the gradient of `mixed` to those of queries, keys and values, which lie as these do, from of_q, of_k, of_v on.
inline void attend_backward(const Head& head, const bf16* mixed, const bf16* of_mixed, long mixed_stride,
                            const float* log_sums, bf16* of_q, bf16* of_k, bf16* of_v) {
    const long length = head.length, d_head = head.d_head, room = head.room(), n_pairs = head.n_pairs();
    scratch.clear();
    Pair* keys = scratch.take<Pair>(room * d_head / 2);       // K^T
    Pair* values = scratch.take<Pair>(room * d_head / 2);     // V^T
    Pair* key_rows = scratch.take<Pair>(n_pairs * d_head);    // K
    Pair* query_rows = scratch.take<Pair>(n_pairs * d_head);  // Q
    Pair* grad_rows = scratch.take<Pair>(n_pairs * d_head);   // the gradient of `mixed`
    Pair* pattern = scratch.take<Pair>(n_pairs * room);       // in panels, (length, keys)
    Pair* of_pattern = scratch.take<Pair>(n_pairs * room);    // of the scores, likewise
    float* scores = scratch.take<float>(TALL * room);
    float* found = scratch.take<float>(TALL * room);
    bf16* of_scores = scratch.take<bf16>(TALL * room);
    float* sums = scratch.take<float>(TALL * d_head);
    pack_keys(head, head.k, keys);
    pack_keys(head, head.v, values);
    pack_all(head.k, head.stride, length, d_head, key_rows);
    pack_all(head.q, head.stride, length, d_head, query_rows);
    pack_all(of_mixed, mixed_stride, length, d_head, grad_rows);

    for (long i = 0; i < length; i += TALL) {
        const long rows = std::min(TALL, length - i), width = rounded_up(head.keys_of(i + rows), LANES);
        scores_of(head, head.q + i * head.stride, head.stride, rows, width, keys, scores);
        scores_of(head, of_mixed + i * mixed_stride, mixed_stride, rows, width, values, found);
        float dots[TALL];  // sum_j pattern_ij of_pattern_ij, which is mixed_i . of_mixed_i
        for (long r = 0; r < rows; ++r) {
            V dot = zeros();
            for (long c = 0; c < d_head; c += LANES)
                dot = _mm512_fmadd_ps(load(mixed + (i + r) * mixed_stride + c),
                                      load(of_mixed + (i + r) * mixed_stride + c), dot);
            dots[r] = _mm512_reduce_add_ps(dot);
        }
        for (long r = 0; r < rows; r += 2) {
            const bool both = r + 1 < rows;
            const auto pattern_at = [&](long row, long j) {
                return exp2(_mm512_fmsub_ps(load(scores + row * room + j), all(LOG2_E), all(log_sums[i + row])));
            };
            const auto put = [&](long j, V p1, V p2) {
                const long at = r * room + j, to = j * n_pairs + (i + r) / 2 * LANES;
                const V g1 = _mm512_mul_ps(p1, _mm512_sub_ps(load(found + at), all(dots[r])));
                const V g2 =
                    both ? _mm512_mul_ps(p2, _mm512_sub_ps(load(found + at + room), all(dots[r + 1]))) : zeros();
                store(of_scores + at, g1);
                if (both) store(of_scores + at + room, g2);
                _mm512_storeu_si512(pattern + to, paired(p1, p2));
                _mm512_storeu_si512(of_pattern + to, paired(g1, g2));
            };
            const long whole = both ? head.keys_of(i + r + 1) / LANES * LANES : 0;  // keys that both see
            for (long j = 0; j < whole; j += LANES) put(j, pattern_at(r, j), pattern_at(r + 1, j));
            for (long j = whole; j < width; j += LANES) {
                const __mmask16 first = seen(j, head.keys_of(i + r + 1)), second = seen(j, head.keys_of(i + r + 2));
                put(j, _mm512_maskz_mov_ps(first, pattern_at(r, j)),
                    both ? _mm512_maskz_mov_ps(second, pattern_at(r + 1, j)) : zeros());
            }
            for (long j = width; j < room && head.causal; j += LANES) {  // keys that these two do not see
                const long to = j * n_pairs + (i + r) / 2 * LANES;
                _mm512_storeu_si512(pattern + to, _mm512_setzero_si512());
                _mm512_storeu_si512(of_pattern + to, _mm512_setzero_si512());
            }
        }
        multiply(of_scores, room / 2, rows, key_rows, n_pairs * LANES, std::min(width / 2, n_pairs), d_head, sums,
                 d_head);
        for (long r = 0; r < rows; ++r)
            for (long c = 0; c < d_head; c += LANES)
                store(of_q + (i + r) * head.stride + c, load(sums + r * d_head + c));
    }
    const auto down = [&](const Pair* weights, const Pair* from, bf16* to) {  // sums over the queries, for each key
        for (long j = 0; j < length; j += TALL_T) {
            multiply_transposed<false>(weights + j / LANES * LANES * n_pairs + j % LANES, TALL_T, from, n_pairs, d_head,
                                       sums, d_head);
            for (long r = 0; r < std::min(TALL_T, length - j); ++r)
                for (long c = 0; c < d_head; c += LANES)
                    store(to + (j + r) * head.stride + c, load(sums + r * d_head + c));
        }
    };
    down(pattern, grad_rows, of_v);
    down(of_pattern, query_rows, of_k);
}

}  // namespace vecformer
