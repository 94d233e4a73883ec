// Eight floats at once, by AVX2 and FMA.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace vecformer {

using V = __m256;
using Mask = __m256i;

constexpr long LANES = 8;

inline V load(const float* from) { return _mm256_loadu_ps(from); }
inline V load(const float* from, Mask there) { return _mm256_maskload_ps(from, there); }
inline void store(float* to, V x) { _mm256_storeu_ps(to, x); }
inline void store(float* to, Mask there, V x) { _mm256_maskstore_ps(to, there, x); }
inline V all(float x) { return _mm256_set1_ps(x); }
inline V zeros() { return _mm256_setzero_ps(); }

inline V fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
inline V max(V a, V b) { return _mm256_max_ps(a, b); }
inline V min(V a, V b) { return _mm256_min_ps(a, b); }
inline V magnitude(V x) { return _mm256_andnot_ps(all(-0.0f), x); }
inline V sqrt(V x) { return _mm256_sqrt_ps(x); }
inline V rough_inverse(V x) { return _mm256_rcp_ps(x); }  // to 11 bits
inline V rounded(V x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

// x 2^whole, x being near 1; below 2^-126 it stays there.
inline V times_two_to(V x, V whole) {
    const __m256i exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(max(whole, all(-126.0f))), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), exponent));
}

inline float sum_of(V x) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
inline float most_of(V x) {
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

inline float least_of(V x) { return -most_of(-x); }

inline Mask lanes(long n) {  // the first n
    const int many = n > LANES ? int(LANES) : n < 0 ? 0 : int(n);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(many), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Mask lanes_of(const uint8_t* bits) {
    const __m256i each = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(*bits), each), each);
}
inline V only(Mask there, V x) { return _mm256_and_ps(_mm256_castsi256_ps(there), x); }
inline V either(Mask there, V x, V other) { return _mm256_blendv_ps(other, x, _mm256_castsi256_ps(there)); }

// Four bytes a lane: activations, from 0 to MOST, or weights, from -MOST_WEIGHT to MOST_WEIGHT; or sums of products.
// The products of a lane's eight bytes are summed up in 16 bits before they are widened, which those bounds allow.
using Bytes = __m256i;
constexpr int MOST = 127, MOST_WEIGHT = 64;

inline Bytes bytes_at(const int32_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
inline Bytes four_everywhere(const uint8_t* from) {
    int32_t four;
    std::memcpy(&four, from, sizeof four);
    return _mm256_set1_epi32(four);
}
inline void store(int32_t* to, Bytes sums) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), sums); }
inline V floats(Bytes sums) { return _mm256_cvtepi32_ps(sums); }
inline Bytes plus(Bytes a, Bytes b) { return _mm256_add_epi32(a, b); }
inline Bytes dot(Bytes sum, Bytes left, Bytes weights, Bytes next_left, Bytes next_weights) {
    const __m256i pairs =
        _mm256_add_epi16(_mm256_maddubs_epi16(left, weights), _mm256_maddubs_epi16(next_left, next_weights));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
inline Bytes whole(V x) { return _mm256_cvtps_epi32(x); }
inline void store_bytes(void* to, Bytes x) {
    const __m256i low = _mm256_and_si256(x, _mm256_set1_epi32(0xff));
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
    _mm_storel_epi64(static_cast<__m128i*>(to), _mm_packus_epi16(words, words));
}
template <bool SIGNED>
void store_bytes(void* to, const Bytes x[4]) {  // as many as 4 LANES, at once
    const __m256i first = _mm256_packs_epi32(x[0], x[1]), last = _mm256_packs_epi32(x[2], x[3]);
    const __m256i mixed = SIGNED ? _mm256_packs_epi16(first, last) : _mm256_packus_epi16(first, last);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256(static_cast<__m256i*>(to), _mm256_permutevar8x32_epi32(mixed, order));
}

// A bit for each of 64 bytes: whether it is at least `least`.
inline uint64_t at_least(const void* bytes, int least) {
    const auto half = [least](const void* from) {
        const __m256i x = _mm256_loadu_si256(static_cast<const __m256i*>(from));
        const __m256i most = _mm256_max_epu8(x, _mm256_set1_epi8(char(least)));
        return uint64_t(uint32_t(_mm256_movemask_epi8(_mm256_cmpeq_epi8(most, x))));
    };
    return half(bytes) | half(static_cast<const char*>(bytes) + 32) << 32;
}

// Rows of eight become columns.
inline void transpose(V r[8]) {
    V t[8];
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
    for (int i = 0; i < 4; ++i) {  // now each half of r[4 g + i] is a part of column 4 h + i, of rows 4 g on
        t[i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x20);
        t[4 + i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x31);
    }
    for (int i = 0; i < 8; ++i) r[i] = t[i];
}

}  // namespace vecformer
