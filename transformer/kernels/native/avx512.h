// Vectors of sixteen floats: AVX-512.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace vecformer {

using Vec = __m512;
using Mask = __mmask16;

constexpr long LANES = 16;

inline Vec load(const float* src) { return _mm512_loadu_ps(src); }
inline Vec load(const float* src, Mask mask) { return _mm512_maskz_loadu_ps(mask, src); }
inline void store(float* dst, Vec x) { _mm512_storeu_ps(dst, x); }
inline void store(float* dst, Mask mask, Vec x) { _mm512_mask_storeu_ps(dst, mask, x); }
inline Vec set1(float x) { return _mm512_set1_ps(x); }
inline Vec zero() { return _mm512_setzero_ps(); }

inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
inline Vec abs(Vec x) { return _mm512_abs_ps(x); }
inline Vec sqrt(Vec x) { return _mm512_sqrt_ps(x); }
inline Vec approx_reciprocal(Vec x) { return _mm512_rcp14_ps(x); }  // relative error 2^-14
inline Vec rint(Vec x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline Vec scalbn(Vec x, Vec n) { return _mm512_scalef_ps(x, n); }
inline float reduce_add(Vec x) { return _mm512_reduce_add_ps(x); }
inline float reduce_max(Vec x) { return _mm512_reduce_max_ps(x); }
inline float reduce_min(Vec x) { return _mm512_reduce_min_ps(x); }

inline Mask mask_first(long n) { return n >= LANES ? 0xffff : n <= 0 ? 0 : Mask((1u << n) - 1); }  // the first n lanes
inline Mask mask_from_bits(const uint8_t* bits) { return Mask(bits[0] | bits[1] << 8); }
inline Vec mask_zero(Mask mask, Vec x) { return _mm512_maskz_mov_ps(mask, x); }
inline Vec select(Mask mask, Vec x, Vec other) { return _mm512_mask_mov_ps(other, mask, x); }

// Transpose a 16 x 16 matrix of 32-bit elements, one row per vector.
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
    for (int i = 0; i < 4; ++i) {  // quarter q of r[4 g + i] now holds column 4 q + i of rows 4 g to 4 g + 3
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

inline void transpose(Vec r[16]) {
    __m512i rows[16];
    for (int i = 0; i < 16; ++i) rows[i] = _mm512_castps_si512(r[i]);
    transpose(rows);
    for (int i = 0; i < 16; ++i) r[i] = _mm512_castsi512_ps(rows[i]);
}

// LANES int32, or four 8-bit integers per lane: activations in [0, ACTIVATION_QMAX] or weights in
// [-WEIGHT_QMAX, WEIGHT_QMAX].
using IntVec = __m512i;
constexpr int ACTIVATION_QMAX = 255, WEIGHT_QMAX = 127;

inline IntVec load_int(const int32_t* src) { return _mm512_loadu_si512(src); }
// The same four bytes in every lane.
inline IntVec broadcast4(const uint8_t* src) {
    int32_t four;
    std::memcpy(&four, src, sizeof four);
    return _mm512_set1_epi32(four);
}
inline void store(int32_t* dst, IntVec x) { _mm512_storeu_si512(dst, x); }
inline Vec to_float(IntVec x) { return _mm512_cvtepi32_ps(x); }
inline IntVec add(IntVec a, IntVec b) { return _mm512_add_epi32(a, b); }
// acc + a b + a_next b_next: per lane, dot products of four uint8 (a) and four int8 (b).
inline IntVec dot_u8s8(IntVec acc, IntVec a, IntVec b, IntVec a_next, IntVec b_next) {
    return _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(acc, a, b), a_next, b_next);
}
// Round to the nearest integer, ties to even.
inline IntVec to_int(Vec x) { return _mm512_cvtps_epi32(x); }
// Store the low byte of each lane.
inline void store_int8(void* dst, IntVec x) { _mm_storeu_si128(static_cast<__m128i*>(dst), _mm512_cvtepi32_epi8(x)); }
template <bool SIGNED>
void store_int8(void* dst, const IntVec x[4]) {  // 4 LANES values
    for (int i = 0; i < 4; ++i) store_int8(static_cast<char*>(dst) + i * LANES, x[i]);
}

// Bit i of the result: byte i of 64 is at least `threshold` (unsigned).
inline uint64_t ge_mask(const void* bytes, int threshold) {
    return _mm512_cmp_epu8_mask(_mm512_loadu_si512(bytes), _mm512_set1_epi8(char(threshold)), _MM_CMPINT_NLT);
}

}  // namespace vecformer
