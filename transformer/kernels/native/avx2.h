// Vectors of eight floats: AVX2 and FMA.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace vecformer {

using Vec = __m256;
using Mask = __m256i;

constexpr long LANES = 8;

inline Vec load(const float* src) { return _mm256_loadu_ps(src); }
inline Vec load(const float* src, Mask mask) { return _mm256_maskload_ps(src, mask); }
inline void store(float* dst, Vec x) { _mm256_storeu_ps(dst, x); }
inline void store(float* dst, Mask mask, Vec x) { _mm256_maskstore_ps(dst, mask, x); }
inline Vec set1(float x) { return _mm256_set1_ps(x); }
inline Vec zero() { return _mm256_setzero_ps(); }

inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
inline Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
inline Vec min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
inline Vec abs(Vec x) { return _mm256_andnot_ps(set1(-0.0f), x); }
inline Vec sqrt(Vec x) { return _mm256_sqrt_ps(x); }
inline Vec approx_reciprocal(Vec x) { return _mm256_rcp_ps(x); }  // relative error 2^-11
inline Vec rint(Vec x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

// x * 2^n for x near 1; n is clamped to -126.
inline Vec scalbn(Vec x, Vec n) {
    const __m256i exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(max(n, set1(-126.0f))), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), exponent));
}

inline float reduce_add(Vec x) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
inline float reduce_max(Vec x) {
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

inline float reduce_min(Vec x) { return -reduce_max(-x); }

inline Mask mask_first(long n) {  // the first n lanes
    const int count = n > LANES ? int(LANES) : n < 0 ? 0 : int(n);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Mask mask_from_bits(const uint8_t* bits) {
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(*bits), bit), bit);
}
inline Vec mask_zero(Mask mask, Vec x) { return _mm256_and_ps(_mm256_castsi256_ps(mask), x); }
inline Vec select(Mask mask, Vec x, Vec other) { return _mm256_blendv_ps(other, x, _mm256_castsi256_ps(mask)); }

// LANES int32, or four 8-bit integers per lane: activations in [0, ACTIVATION_QMAX] or weights in
// [-WEIGHT_QMAX, WEIGHT_QMAX]. Without VNNI the products of two groups of four are summed in 16 bits before they are
// widened; the two ranges are chosen such that these sums cannot saturate.
using IntVec = __m256i;
constexpr int ACTIVATION_QMAX = 127, WEIGHT_QMAX = 64;

inline IntVec load_int(const int32_t* src) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(src)); }
// The same four bytes in every lane.
inline IntVec broadcast4(const uint8_t* src) {
    int32_t four;
    std::memcpy(&four, src, sizeof four);
    return _mm256_set1_epi32(four);
}
inline void store(int32_t* dst, IntVec x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst), x); }
inline Vec to_float(IntVec x) { return _mm256_cvtepi32_ps(x); }
inline IntVec add(IntVec a, IntVec b) { return _mm256_add_epi32(a, b); }
// acc + a b + a_next b_next: per lane, dot products of four uint8 (a) and four int8 (b).
inline IntVec dot_u8s8(IntVec acc, IntVec a, IntVec b, IntVec a_next, IntVec b_next) {
    const __m256i pairs = _mm256_add_epi16(_mm256_maddubs_epi16(a, b), _mm256_maddubs_epi16(a_next, b_next));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
// Round to the nearest integer, ties to even.
inline IntVec to_int(Vec x) { return _mm256_cvtps_epi32(x); }
// Store the low byte of each lane.
inline void store_int8(void* dst, IntVec x) {
    const __m256i low = _mm256_and_si256(x, _mm256_set1_epi32(0xff));
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
    _mm_storel_epi64(static_cast<__m128i*>(dst), _mm_packus_epi16(words, words));
}
template <bool SIGNED>
void store_int8(void* dst, const IntVec x[4]) {  // 4 LANES values
    const __m256i first = _mm256_packs_epi32(x[0], x[1]), last = _mm256_packs_epi32(x[2], x[3]);
    const __m256i packed = SIGNED ? _mm256_packs_epi16(first, last) : _mm256_packus_epi16(first, last);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256(static_cast<__m256i*>(dst), _mm256_permutevar8x32_epi32(packed, order));
}

// Bit i of the result: byte i of 64 is at least `threshold` (unsigned).
inline uint64_t ge_mask(const void* bytes, int threshold) {
    const auto half = [threshold](const void* src) {
        const __m256i x = _mm256_loadu_si256(static_cast<const __m256i*>(src));
        const __m256i larger = _mm256_max_epu8(x, _mm256_set1_epi8(char(threshold)));
        return uint64_t(uint32_t(_mm256_movemask_epi8(_mm256_cmpeq_epi8(larger, x))));
    };
    return half(bytes) | half(static_cast<const char*>(bytes) + 32) << 32;
}

// Transpose an 8 x 8 matrix, one row per vector.
inline void transpose(Vec r[8]) {
    Vec t[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; ++i) {  // half h of r[4 g + i] now holds column 4 h + i of rows 4 g to 4 g + 3
        t[i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x20);
        t[4 + i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x31);
    }
    for (int i = 0; i < 8; ++i) r[i] = t[i];
}

}  // namespace vecformer
