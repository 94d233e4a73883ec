// Sixteen floats at once, by AVX-512.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace vecformer {

using V = __m512;
using Mask = __mmask16;

constexpr long LANES = 16;

inline V load(const float* from) { return _mm512_loadu_ps(from); }
inline V load(const float* from, Mask there) { return _mm512_maskz_loadu_ps(there, from); }
inline void store(float* to, V x) { _mm512_storeu_ps(to, x); }
inline void store(float* to, Mask there, V x) { _mm512_mask_storeu_ps(to, there, x); }
inline V all(float x) { return _mm512_set1_ps(x); }
inline V zeros() { return _mm512_setzero_ps(); }

inline V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
inline V max(V a, V b) { return _mm512_max_ps(a, b); }
inline V min(V a, V b) { return _mm512_min_ps(a, b); }
inline V magnitude(V x) { return _mm512_abs_ps(x); }
inline V sqrt(V x) { return _mm512_sqrt_ps(x); }
inline V rough_inverse(V x) { return _mm512_rcp14_ps(x); }  // to 14 bits
inline V rounded(V x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline V times_two_to(V x, V whole) { return _mm512_scalef_ps(x, whole); }
inline float sum_of(V x) { return _mm512_reduce_add_ps(x); }
inline float most_of(V x) { return _mm512_reduce_max_ps(x); }
inline float least_of(V x) { return _mm512_reduce_min_ps(x); }

inline Mask lanes(long n) { return n >= LANES ? 0xffff : n <= 0 ? 0 : Mask((1u << n) - 1); }  // the first n
inline Mask lanes_of(const uint8_t* bits) { return Mask(bits[0] | bits[1] << 8); }
inline V only(Mask there, V x) { return _mm512_maskz_mov_ps(there, x); }
inline V either(Mask there, V x, V other) { return _mm512_mask_mov_ps(other, there, x); }

// Four bytes a lane: activations, from 0 to MOST, or weights, from -MOST_WEIGHT to MOST_WEIGHT; or sums of products.
using Bytes = __m512i;
constexpr int MOST = 255, MOST_WEIGHT = 127;

inline Bytes bytes_at(const int32_t* from) { return _mm512_loadu_si512(from); }
inline Bytes four_everywhere(const uint8_t* from) {
    int32_t four;
    std::memcpy(&four, from, sizeof four);
    return _mm512_set1_epi32(four);
}
inline void store(int32_t* to, Bytes sums) { _mm512_storeu_si512(to, sums); }
inline V floats(Bytes sums) { return _mm512_cvtepi32_ps(sums); }
inline Bytes plus(Bytes a, Bytes b) { return _mm512_add_epi32(a, b); }
inline Bytes dot(Bytes sum, Bytes left, Bytes weights, Bytes next_left, Bytes next_weights) {
    return _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(sum, left, weights), next_left, next_weights);
}
inline Bytes whole(V x) { return _mm512_cvtps_epi32(x); }
inline void store_bytes(void* to, Bytes x) { _mm_storeu_si128(static_cast<__m128i*>(to), _mm512_cvtepi32_epi8(x)); }
template <bool SIGNED>
void store_bytes(void* to, const Bytes x[4]) {  // as many as 4 LANES, at once
    for (int i = 0; i < 4; ++i) store_bytes(static_cast<char*>(to) + i * LANES, x[i]);
}

// A bit for each of 64 bytes: whether it is at least `least`.
inline uint64_t at_least(const void* bytes, int least) {
    return _mm512_cmp_epu8_mask(_mm512_loadu_si512(bytes), _mm512_set1_epi8(char(least)), _MM_CMPINT_NLT);
}

}  // namespace vecformer
