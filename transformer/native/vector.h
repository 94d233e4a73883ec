// Sixteen floats at once, and bfloat16: the upper half of a float, rounded to even.
#pragma once
#include <immintrin.h>

#include <cstdint>

namespace vecformer {

using bf16 = uint16_t;
using Pair = uint32_t __attribute__((may_alias));  // two bfloat16 of successive terms of a sum, the earlier one below
using V = __m512;

constexpr long LANES = 16;
constexpr float LOG2_E = 1.44269504088896341f;

inline long rounded_up(long n, long step) { return (n + step - 1) / step * step; }

inline V load(const float* from) { return _mm512_loadu_ps(from); }
inline void store(float* to, V x) { _mm512_storeu_ps(to, x); }
inline V all(float x) { return _mm512_set1_ps(x); }
inline V zeros() { return _mm512_setzero_ps(); }

inline V load(const bf16* from) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

inline __m256i narrow(V x) { return (__m256i)_mm512_cvtneps_pbh(x); }
inline void store(bf16* to, V x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), narrow(x)); }

// Lane i is the pair of a's and b's lane i.
inline __m512i paired(V a, V b) {
    const __m512i above = _mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow(b)), 16);
    return _mm512_or_si512(_mm512_cvtepu16_epi32(narrow(a)), above);
}

// 2^x, to 3e-6 of it: far finer than bfloat16's 2e-3. The terms are fitted, by the largest relative error. Of minus
// infinity it is NaN.
inline V exp2(V x) {
    const V whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const V rest = _mm512_sub_ps(x, whole);
    V sum = all(9.5701e-3f);
    sum = _mm512_fmadd_ps(sum, rest, all(5.591786e-2f));
    sum = _mm512_fmadd_ps(sum, rest, all(2.4024745e-1f));
    sum = _mm512_fmadd_ps(sum, rest, all(6.9312181e-1f));
    sum = _mm512_fmadd_ps(sum, rest, all(9.9999926e-1f));
    return _mm512_scalef_ps(sum, whole);
}

struct Bent {
    V value, slope;
};

// GELU, x Phi(x) (Hendrycks & Gimpel 2016), and its derivative. Phi is by Abramowitz & Stegun 7.1.26, to 1e-7.
inline Bent gelu(V x) {
    const V far = _mm512_mul_ps(_mm512_abs_ps(x), all(0.70710678f));
    const V power = _mm512_mul_ps(_mm512_mul_ps(x, x), all(-0.5f * LOG2_E));
    const V e = exp2(_mm512_max_ps(power, all(-150.0f)));  // exp(-x^2 / 2)
    const V d = _mm512_fmadd_ps(far, all(0.3275911f), all(1.0f));
    V t = _mm512_rcp14_ps(d);
    t = _mm512_mul_ps(t, _mm512_fnmadd_ps(d, t, all(2.0f)));  // one step of Newton's
    V sum = all(1.061405429f);
    sum = _mm512_fmadd_ps(sum, t, all(-1.453152027f));
    sum = _mm512_fmadd_ps(sum, t, all(1.421413741f));
    sum = _mm512_fmadd_ps(sum, t, all(-0.284496736f));
    sum = _mm512_fmadd_ps(sum, t, all(0.254829592f));
    const V tail = _mm512_mul_ps(_mm512_mul_ps(sum, t), _mm512_mul_ps(e, all(0.5f)));  // 1 - Phi(|x|)
    const __mmask16 positive = _mm512_cmp_ps_mask(x, zeros(), _CMP_GE_OQ);
    const V phi = _mm512_mask_sub_ps(tail, positive, all(1.0f), tail);
    return {_mm512_mul_ps(x, phi), _mm512_fmadd_ps(_mm512_mul_ps(x, e), all(0.39894228f), phi)};
}

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

}  // namespace vecformer
