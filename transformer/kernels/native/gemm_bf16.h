// bfloat16, the upper half of a float, rounded to even; and right factors of matrix products made of it.
//
// The processor multiplies two successive rows of 16 columns by two broadcast numbers and adds: a unit is a pair.
#pragma once
#include "simd.h"

namespace vecformer {

using Low = uint16_t;                              // what activations are kept in
using Unit = uint32_t __attribute__((may_alias));  // two successive terms of a sum, the earlier one below
using Factor = __m512bh;                           // LANES units

constexpr long PER_UNIT = 2;
constexpr bool ROUGH = true;  // functions need not be finer than Low

inline V load(const Low* from) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

inline __m256i narrow(V x) { return (__m256i)_mm512_cvtneps_pbh(x); }
inline void store(Low* to, V x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), narrow(x)); }

// Lane i is the pair of a's and b's lane i.
inline __m512i paired(V a, V b) {
    const __m512i above = _mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow(b)), 16);
    return _mm512_or_si512(_mm512_cvtepu16_epi32(narrow(a)), above);
}

inline Factor factor_at(const Unit* units) { return (__m512bh)_mm512_loadu_si512(units); }
inline Factor broadcast(const Unit* unit) { return (__m512bh)_mm512_set1_epi32(int(*unit)); }
inline Factor ones() { return (__m512bh)_mm512_set1_epi32(0x3f803f80); }
inline V dot(V sum, Factor left, Factor right) { return _mm512_dpbf16_ps(sum, left, right); }

// Puts rows i and i + 1 of a right factor, i being even, into the panel that they belong to; `both` are there.
inline void store_rows(Unit* at, V a, V b, bool) { _mm512_storeu_si512(at, paired(a, b)); }

// Rows of sixteen become columns.
inline void transpose(__m512i r[16]) {
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; ++i) {  // now each quarter of r[4 g + i] is a part of column 4 q + i, of rows 4 g on
        const __m512i low = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88),
                      high = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd);
        const __m512i low2 = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
        const __m512i high2 = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
        t[i] = _mm512_shuffle_i32x4(low, low2, 0x88);
        t[4 + i] = _mm512_shuffle_i32x4(high, high2, 0x88);
        t[8 + i] = _mm512_shuffle_i32x4(low, low2, 0xdd);
        t[12 + i] = _mm512_shuffle_i32x4(high, high2, 0xdd);
    }
    for (int i = 0; i < 16; ++i) r[i] = t[i];
}

inline __m512i pairs_at(const float* row, __mmask16 low, __mmask16 high) {
    const V a = _mm512_maskz_loadu_ps(low, row), b = _mm512_maskz_loadu_ps(high, row + LANES);
    return (__m512i)_mm512_cvtne2ps_pbh(b, a);
}
inline __m512i pairs_at(const Low* row, __mmask16 low, __mmask16 high) {
    return _mm512_maskz_loadu_epi16(__mmask32(high) << 16 | low, row);
}

// The panel of columns `first` to `first + LANES - 1` of B = W^T, W being rows of n_terms numbers (a multiple of 16),
// `stride` apart; a panel past the last row of n_rows is filled up with zeros. What comes in is multiplied by `times`.
template <class T>
void pack_transposed(const T* w, long stride, long n_rows, long n_terms, long first, Unit* panel, float times = 1) {
    for (long k = 0; k < n_terms; k += 2 * LANES) {
        const __mmask16 high = k + LANES < n_terms ? 0xffff : 0;
        __m512i rows[16];
        for (long i = 0; i < LANES; ++i) {
            if (first + i >= n_rows) rows[i] = _mm512_setzero_si512();
            else if (times == 1) rows[i] = pairs_at(w + (first + i) * stride + k, 0xffff, high);
            else {
                const T* row = w + (first + i) * stride + k;
                const V b = high ? load(row + LANES) : zeros();
                rows[i] = (__m512i)_mm512_cvtne2ps_pbh(b * all(times), load(row) * all(times));
            }
        }
        transpose(rows);
        for (long i = 0; i < (high ? 16 : 8); ++i) _mm512_storeu_si512(panel + (k / 2 + i) * LANES, rows[i]);
    }
}

// The panel of columns `first` to `first + LANES - 1` of B, which has n_rows rows, `stride` apart, an even number; what
// comes in is multiplied by `times`.
inline void pack(const float* b, long stride, long n_rows, long first, Unit* panel, float times) {
    for (long k = 0; k < n_rows; k += 2) {
        const float* row = b + k * stride + first;
        store_rows(panel + k / 2 * LANES, load(row) * all(times), load(row + stride) * all(times), true);
    }
}

// All panels of B; an odd last row is paired with zeros.
inline void pack_all(const Low* b, long stride, long n_rows, long n_columns, Unit* panels) {
    const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37,
                                         5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
    const long panel = (n_rows + 1) / 2 * LANES;
    for (long c = 0; c < n_columns; c += 2 * LANES) {
        const bool both = c + LANES < n_columns;
        const __mmask32 there = both ? 0xffffffff : 0xffff;
        Unit* to = panels + c / LANES * panel;
        for (long k = 0; k < n_rows; k += 2, to += LANES) {
            const Low* row = b + k * stride + c;
            const __m512i one = _mm512_maskz_loadu_epi16(there, row);
            const __m512i two = k + 1 < n_rows ? _mm512_maskz_loadu_epi16(there, row + stride) : _mm512_setzero_si512();
            _mm512_storeu_si512(to, _mm512_permutex2var_epi16(one, low, two));
            if (both) _mm512_storeu_si512(to + panel, _mm512_permutex2var_epi16(one, high, two));
        }
    }
}

}  // namespace vecformer
