// Matrix products of bfloat16, summed in float32: C = A B.
//
// The right factor lies in panels: 16 columns each, one after another, and in each the pairs of successive rows, so
// that one instruction multiplies two rows of 16 columns by two broadcast numbers and adds. Of the left factor two
// successive numbers of a row must lie side by side; a matrix in panels can so be a left factor too, transposed.
#pragma once
#include <algorithm>

#include "vector.h"

namespace vecformer {

inline __m512i pairs_at(const float* row, __mmask16 low, __mmask16 high) {
    const V a = _mm512_maskz_loadu_ps(low, row), b = _mm512_maskz_loadu_ps(high, row + LANES);
    return (__m512i)_mm512_cvtne2ps_pbh(b, a);
}
inline __m512i pairs_at(const bf16* row, __mmask16 low, __mmask16 high) {
    return _mm512_maskz_loadu_epi16(__mmask32(high) << 16 | low, row);
}

// The panel of columns `first` to `first + 15` of B = W^T, W being rows of n_terms numbers (a multiple of 16), `stride`
// apart; a panel past the last row of n_rows is filled up with zeros. What comes in is multiplied by `times`.
template <class T>
void pack_transposed(const T* w, long stride, long n_rows, long n_terms, long first, Pair* panel, float times = 1) {
    for (long k = 0; k < n_terms; k += 2 * LANES) {
        const __mmask16 high = k + LANES < n_terms ? 0xffff : 0;
        __m512i rows[16];
        for (long i = 0; i < LANES; ++i) {
            if (first + i >= n_rows) rows[i] = _mm512_setzero_si512();
            else if (times == 1) rows[i] = pairs_at(w + (first + i) * stride + k, 0xffff, high);
            else {
                const T* row = w + (first + i) * stride + k;
                const V b = high ? load(row + LANES) : zeros();
                rows[i] =
                    (__m512i)_mm512_cvtne2ps_pbh(_mm512_mul_ps(b, all(times)), _mm512_mul_ps(load(row), all(times)));
            }
        }
        transpose(rows);
        for (long i = 0; i < (high ? 16 : 8); ++i) _mm512_storeu_si512(panel + (k / 2 + i) * LANES, rows[i]);
    }
}

// The panel of columns `first` to `first + 15` of B, which has n_rows rows, `stride` apart, an even number; what comes
// in is multiplied by `times`.
inline void pack(const float* b, long stride, long n_rows, long first, Pair* panel, float times) {
    for (long k = 0; k < n_rows; k += 2) {
        const float* row = b + k * stride + first;
        _mm512_storeu_si512(panel + k / 2 * LANES, paired(_mm512_mul_ps(load(row), all(times)),
                                                          _mm512_mul_ps(load(row + stride), all(times))));
    }
}

// All panels of B; each is (n_rows + 1) / 2 * 16 pairs long. An odd last row is paired with zeros.
inline void pack_all(const bf16* b, long stride, long n_rows, long n_columns, Pair* panels) {
    const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37,
                                         5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
    const long panel = (n_rows + 1) / 2 * LANES;
    for (long c = 0; c < n_columns; c += 2 * LANES) {
        const bool both = c + LANES < n_columns;
        const __mmask32 there = both ? 0xffffffff : 0xffff;
        Pair* to = panels + c / LANES * panel;
        for (long k = 0; k < n_rows; k += 2, to += LANES) {
            const bf16* row = b + k * stride + c;
            const __m512i one = _mm512_maskz_loadu_epi16(there, row);
            const __m512i two = k + 1 < n_rows ? _mm512_maskz_loadu_epi16(there, row + stride) : _mm512_setzero_si512();
            _mm512_storeu_si512(to, _mm512_permutex2var_epi16(one, low, two));
            if (both) _mm512_storeu_si512(to + panel, _mm512_permutex2var_epi16(one, high, two));
        }
    }
}

// MR rows and 16 NV columns of the product. `a` steps by `row` from a row to the next and by `term` to the next pair.
template <int MR, int NV, bool ADD>
void tile(const Pair* a, long row, long term, const Pair* b, long panel, long n_pairs, float* c, long stride) {
    V sum[MR][NV];
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m)
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) sum[m][v] = ADD ? load(c + m * stride + v * LANES) : zeros();
    for (long k = 0; k < n_pairs; ++k, a += term, b += LANES) {
        __m512bh right[NV];
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) right[v] = (__m512bh)_mm512_loadu_si512(b + v * panel);
#pragma GCC unroll 16
        for (int m = 0; m < MR; ++m) {
            const __m512bh left = (__m512bh)_mm512_set1_epi32(int(a[m * row]));
#pragma GCC unroll 4
            for (int v = 0; v < NV; ++v) sum[m][v] = _mm512_dpbf16_ps(sum[m][v], left, right[v]);
        }
    }
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m)
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) store(c + m * stride + v * LANES, sum[m][v]);
}

using Tile = void (*)(const Pair*, long, long, const Pair*, long, long, float*, long);

constexpr long WIDE = 2, TALL = 12;     // vectors and rows of a tile, in registers with what they are made from
constexpr long WIDE_T = 3, TALL_T = 8;  // where the left factor is in panels

template <int... M>
Tile tile_of(long rows, long vectors, std::integer_sequence<int, M...>) {
    static constexpr Tile tiles[][2] = {{tile<M + 1, 1, false>, tile<M + 1, 2, false>}...};
    return tiles[rows - 1][vectors - 1];
}

// C = A B; A has rows of 2 n_pairs bfloat16, `a_stride` pairs apart; n_columns is a multiple of 16.
inline void multiply(const void* a, long a_stride, long n_rows, const Pair* b, long panel, long n_pairs, long n_columns,
                     float* c, long stride) {
    const Pair* left = static_cast<const Pair*>(a);
    for (long n = 0; n < n_columns; n += WIDE * LANES) {
        const long vectors = std::min(WIDE, (n_columns - n) / LANES);
        for (long m = 0; m < n_rows; m += TALL)
            tile_of(std::min(TALL, n_rows - m), vectors, std::make_integer_sequence<int, TALL>())(
                left + m * a_stride, a_stride, 1, b + n / LANES * panel, panel, n_pairs, c + m * stride + n, stride);
    }
}

// C = A^T B, or C += A^T B, with both in panels of n_pairs pairs of rows; n_rows (of C) and n_columns are multiples
// of 16.
template <bool ADD>
void multiply_transposed(const Pair* a, long n_rows, const Pair* b, long n_pairs, long n_columns, float* c,
                         long stride) {
    const long panel = n_pairs * LANES;
    for (long n = 0, vectors; n < n_columns; n += vectors * LANES) {
        const long left = (n_columns - n) / LANES;
        vectors = left == 4 ? 2 : std::min(WIDE_T, left);  // two tiles of 2 are quicker than one of 3 and one of 1
        const Tile run = vectors == 3   ? tile<TALL_T, 3, ADD>
                         : vectors == 2 ? tile<TALL_T, 2, ADD>
                                        : tile<TALL_T, 1, ADD>;
        for (long m = 0; m < n_rows; m += TALL_T)
            run(a + m / LANES * panel + m % LANES, 1, LANES, b + n / LANES * panel, panel, n_pairs, c + m * stride + n,
                stride);
    }
}

}  // namespace vecformer
