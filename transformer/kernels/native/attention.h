// Attention of one head over one text, forward and backward, without its scores ever leaving the cache.
#pragma once
#include <cmath>
#include <limits>

#include "gemm.h"
#include "threads.h"

namespace vecformer {

// What a head reads of a text, and where it writes: rows are `stride` numbers apart, d_head (a multiple of 16) long.
struct Head {
    const Low *q, *k, *v;  // the queries are scaled already
    long stride, length, d_head;
    bool causal;  // a word sees those behind it not

    long keys_of(long rows_end) const { return causal ? std::min(length, rows_end) : length; }
    long units() const { return n_units(length); }
    long room() const { return rounded_up(length, 2 * LANES); }
};

constexpr long TOGETHER = 12;  // queries that are looked at together, whole tiles

// K^T or V^T in panels: scores come of it. `room()` columns, those past the text zero.
inline void pack_keys(const Head& head, const Low* keys, Unit* panels) {
    for (long n = 0; n < head.room(); n += LANES)
        pack_transposed(keys, head.stride, head.length, head.d_head, n,
                        panels + n / LANES * head.d_head / PER_UNIT * LANES);
}

inline void scores_of(const Head& head, const Low* queries, long stride, long rows, long n_keys, const Unit* panels,
                      float* scores) {
    multiply(queries, stride / PER_UNIT, rows, panels, head.d_head / PER_UNIT * LANES, head.d_head / PER_UNIT,
             rounded_up(n_keys, LANES), scores, head.room());
}

// softmax(Q K^T) V (Vaswani et al. 2017, equation 1). `mixed` has rows of mixed_stride. log_sums, unless null, takes of
// each row the logarithm to base 2 of the sum of exp(scores).
inline void attend(const Head& head, Low* mixed, long mixed_stride, float* log_sums) {
    const long length = head.length, d_head = head.d_head, room = head.room();
    scratch.clear();
    Unit* keys = scratch.take<Unit>(room * d_head / PER_UNIT);
    Unit* values = scratch.take<Unit>(head.units() * d_head);
    float* scores = scratch.take<float>(TOGETHER * room);
    Low* pattern = scratch.take<Low>(TOGETHER * room);
    float* sums = scratch.take<float>(TOGETHER * d_head);
    pack_keys(head, head.k, keys);
    pack_all(head.v, head.stride, length, d_head, values);

    for (long i = 0; i < length; i += TOGETHER) {
        const long rows = std::min(TOGETHER, length - i), width = rounded_up(head.keys_of(i + rows), LANES);
        float scale[TOGETHER];
        scores_of(head, head.q + i * head.stride, head.stride, rows, width, keys, scores);
        for (long r = 0; r < rows; ++r) {
            const long n_keys = head.keys_of(i + r + 1), whole = n_keys / LANES * LANES;
            const Mask rest = lanes(n_keys - whole);
            const float* row = scores + r * room;
            V most = all(-std::numeric_limits<float>::infinity());
            for (long j = 0; j < whole; j += LANES) most = max(most, load(row + j));
            if (whole < n_keys) most = max(most, either(rest, load(row + whole), most));
            const float top = most_of(most) * LOG2_E;
            V sum = zeros();
            const auto raised = [&](long j) { return exp2<ROUGH>(load(row + j) * all(LOG2_E) - all(top)); };
            for (long j = 0; j < whole; j += LANES) {
                const V e = raised(j);
                sum = sum + e;
                store(pattern + r * room + j, e);
            }
            for (long j = whole; j < width; j += LANES) {  // the last keys that it sees, and those that others see
                const V e = only(lanes(n_keys - j), raised(j));
                sum = sum + e;
                store(pattern + r * room + j, e);
            }
            const float total = sum_of(sum);
            scale[r] = 1 / total;
            if (log_sums) log_sums[i + r] = top + std::log2(total);
        }
        multiply(pattern, room / PER_UNIT, rows, values, head.units() * LANES, std::min(width / PER_UNIT, head.units()),
                 d_head, sums, d_head);
        for (long r = 0; r < rows; ++r)
            for (long c = 0; c < d_head; c += LANES)
                store(mixed + (i + r) * mixed_stride + c, load(sums + r * d_head + c) * all(scale[r]));
    }
}

// From the gradient of `mixed` to those of queries, keys and values, which lie as these do, from of_q, of_k, of_v on.
inline void attend_backward(const Head& head, const Low* mixed, const Low* of_mixed, long mixed_stride,
                            const float* log_sums, Low* of_q, Low* of_k, Low* of_v) {
    const long length = head.length, d_head = head.d_head, room = head.room(), units = head.units();
    scratch.clear();
    Unit* keys = scratch.take<Unit>(room * d_head / PER_UNIT);    // K^T
    Unit* values = scratch.take<Unit>(room * d_head / PER_UNIT);  // V^T
    Unit* key_rows = scratch.take<Unit>(units * d_head);          // K
    Unit* query_rows = scratch.take<Unit>(units * d_head);        // Q
    Unit* grad_rows = scratch.take<Unit>(units * d_head);         // the gradient of `mixed`
    Unit* pattern = scratch.take<Unit>(units * room);             // in panels, (length, keys)
    Unit* of_pattern = scratch.take<Unit>(units * room);          // of the scores, likewise
    float* scores = scratch.take<float>(TOGETHER * room);
    float* found = scratch.take<float>(TOGETHER * room);
    Low* of_scores = scratch.take<Low>(TOGETHER * room);
    float* sums = scratch.take<float>(TOGETHER * d_head);
    pack_keys(head, head.k, keys);
    pack_keys(head, head.v, values);
    pack_all(head.k, head.stride, length, d_head, key_rows);
    pack_all(head.q, head.stride, length, d_head, query_rows);
    pack_all(of_mixed, mixed_stride, length, d_head, grad_rows);

    for (long i = 0; i < length; i += TOGETHER) {
        const long rows = std::min(TOGETHER, length - i), width = rounded_up(head.keys_of(i + rows), LANES);
        scores_of(head, head.q + i * head.stride, head.stride, rows, width, keys, scores);
        scores_of(head, of_mixed + i * mixed_stride, mixed_stride, rows, width, values, found);
        float dots[TOGETHER];  // sum_j pattern_ij of_pattern_ij, which is mixed_i . of_mixed_i
        for (long r = 0; r < rows; ++r) {
            V dot = zeros();
            for (long c = 0; c < d_head; c += LANES)
                dot = fma(load(mixed + (i + r) * mixed_stride + c), load(of_mixed + (i + r) * mixed_stride + c), dot);
            dots[r] = sum_of(dot);
        }
        for (long r = 0; r < rows; r += 2) {
            const bool both = r + 1 < rows;
            const auto pattern_at = [&](long row, long j) {
                return exp2<ROUGH>(load(scores + row * room + j) * all(LOG2_E) - all(log_sums[i + row]));
            };
            const auto put = [&](long j, V p1, V p2) {
                const long at = r * room + j, to = j * units + (i + r) / PER_UNIT * LANES;
                const V g1 = p1 * (load(found + at) - all(dots[r]));
                const V g2 = both ? p2 * (load(found + at + room) - all(dots[r + 1])) : zeros();
                store(of_scores + at, g1);
                if (both) store(of_scores + at + room, g2);
                store_rows(pattern + to, p1, p2, both);
                store_rows(of_pattern + to, g1, g2, both);
            };
            const long whole = both ? head.keys_of(i + r + 1) / LANES * LANES : 0;  // keys that both see
            for (long j = 0; j < whole; j += LANES) put(j, pattern_at(r, j), pattern_at(r + 1, j));
            for (long j = whole; j < width; j += LANES) {
                const Mask first = lanes(head.keys_of(i + r + 1) - j), second = lanes(head.keys_of(i + r + 2) - j);
                put(j, only(first, pattern_at(r, j)), both ? only(second, pattern_at(r + 1, j)) : zeros());
            }
            for (long j = width; j < room && head.causal; j += LANES) {  // keys that these two do not see
                const long to = j * units + (i + r) / PER_UNIT * LANES;
                store_rows(pattern + to, zeros(), zeros(), both);
                store_rows(of_pattern + to, zeros(), zeros(), both);
            }
        }
        multiply(of_scores, room / PER_UNIT, rows, key_rows, units * LANES, std::min(width / PER_UNIT, units), d_head,
                 sums, d_head);
        for (long r = 0; r < rows; ++r)
            for (long c = 0; c < d_head; c += LANES)
                store(of_q + (i + r) * head.stride + c, load(sums + r * d_head + c));
    }
    const auto down = [&](const Unit* weights, const Unit* from, Low* to) {  // sums over the queries, for each key
        for (long j = 0; j < length; j += TALL_T) {
            multiply_transposed<false>(weights + j / LANES * LANES * units + j % LANES, TALL_T, from, units, d_head,
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
