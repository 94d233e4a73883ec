// GEMM operands in bfloat16, the upper half of a float32, rounded to nearest even.
//
// VDPBF16PS adds the dot products of pairs that are adjacent along k: a packed element is such a pair (VNNI layout).
#pragma once
#include "simd.h"

namespace vecformer {

using Activation = uint16_t;                         // storage type of activations
using Packed = uint32_t __attribute__((may_alias));  // elements 2 k (low half) and 2 k + 1 of a column
using PackedVec = __m512bh;                          // LANES packed elements

constexpr long K_PACK = 2;        // elements along k per packed element
constexpr bool FAST_MATH = true;  // exp2 and gelu only need to be more accurate than bfloat16

inline Vec load(const Activation* src) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(src));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

inline __m256i to_bf16(Vec x) { return (__m256i)_mm512_cvtneps_pbh(x); }
inline void store(Activation* dst, Vec x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst), to_bf16(x)); }

// Lane i of the result: bfloat16 of a[i] (low half) and of b[i].
inline __m512i interleave(Vec a, Vec b) {
    const __m512i high = _mm512_slli_epi32(_mm512_cvtepu16_epi32(to_bf16(b)), 16);
    return _mm512_or_si512(_mm512_cvtepu16_epi32(to_bf16(a)), high);
}

inline PackedVec load_packed(const Packed* src) { return (__m512bh)_mm512_loadu_si512(src); }
inline PackedVec broadcast(const Packed* src) { return (__m512bh)_mm512_set1_epi32(int(*src)); }
inline PackedVec packed_ones() { return (__m512bh)_mm512_set1_epi32(0x3f803f80); }
inline Vec dot_accumulate(Vec acc, PackedVec a, PackedVec b) { return _mm512_dpbf16_ps(acc, a, b); }

// Store rows i and i + 1 (i even) of B in a panel; without a second row, b is zero and float32 does not store it.
inline void store_packed_rows(Packed* dst, Vec a, Vec b, bool) { _mm512_storeu_si512(dst, interleave(a, b)); }

inline __m512i load_pairs(const float* row, __mmask16 low, __mmask16 high) {
    const Vec a = _mm512_maskz_loadu_ps(low, row), b = _mm512_maskz_loadu_ps(high, row + LANES);
    return (__m512i)_mm512_cvtne2ps_pbh(b, a);
}
inline __m512i load_pairs(const Activation* row, __mmask16 low, __mmask16 high) {
    return _mm512_maskz_loadu_epi16(__mmask32(high) << 16 | low, row);
}

// Pack columns `first` to `first + LANES - 1` of scale * B into one panel, where B = W^T. W has n_rows rows of k
// elements (a multiple of 16), `stride` apart; columns past n_rows are zero.
template <class T>
void pack_panel_transposed(const T* w, long stride, long n_rows, long k, long first, Packed* panel, float scale = 1) {
    for (long k0 = 0; k0 < k; k0 += 2 * LANES) {
        const __mmask16 high = k0 + LANES < k ? 0xffff : 0;
        __m512i rows[16];
        for (long i = 0; i < LANES; ++i) {
            if (first + i >= n_rows) rows[i] = _mm512_setzero_si512();
            else if (scale == 1) rows[i] = load_pairs(w + (first + i) * stride + k0, 0xffff, high);
            else {
                const T* row = w + (first + i) * stride + k0;
                const Vec b = high ? load(row + LANES) : zero();
                rows[i] = (__m512i)_mm512_cvtne2ps_pbh(b * set1(scale), load(row) * set1(scale));
            }
        }
        transpose(rows);
        for (long i = 0; i < (high ? 16 : 8); ++i) _mm512_storeu_si512(panel + (k0 / 2 + i) * LANES, rows[i]);
    }
}

// Pack columns `first` to `first + LANES - 1` of scale * B into one panel. B has n_rows rows (an even number), `stride`
// apart.
inline void pack_panel(const float* b, long stride, long n_rows, long first, Packed* panel, float scale) {
    for (long k = 0; k < n_rows; k += 2) {
        const float* row = b + k * stride + first;
        store_packed_rows(panel + k / 2 * LANES, load(row) * set1(scale), load(row + stride) * set1(scale), true);
    }
}

// Pack all columns of B; an odd last row is paired with zeros.
inline void pack_matrix(const Activation* b, long stride, long n_rows, long n_columns, Packed* packed) {
    const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37,
                                         5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
    const long panel_stride = (n_rows + 1) / 2 * LANES;
    for (long c = 0; c < n_columns; c += 2 * LANES) {
        const bool two_panels = c + LANES < n_columns;
        const __mmask32 mask = two_panels ? 0xffffffff : 0xffff;
        Packed* dst = packed + c / LANES * panel_stride;
        for (long k = 0; k < n_rows; k += 2, dst += LANES) {
            const Activation* row = b + k * stride + c;
            const __m512i one = _mm512_maskz_loadu_epi16(mask, row);
            const __m512i two = k + 1 < n_rows ? _mm512_maskz_loadu_epi16(mask, row + stride) : _mm512_setzero_si512();
            _mm512_storeu_si512(dst, _mm512_permutex2var_epi16(one, low, two));
            if (two_panels) _mm512_storeu_si512(dst + panel_stride, _mm512_permutex2var_epi16(one, high, two));
        }
    }
}

}  // namespace vecformer
