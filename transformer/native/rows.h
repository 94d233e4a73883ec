// What each row, a word, goes through by itself: norms, and dropout.
#pragma once
#include <cmath>

#include "vector.h"

namespace vecformer {

inline float sum_of(V x) { return _mm512_reduce_add_ps(x); }

// LayerNorm (Ba et al. 2016) of one row: its mean and the inverse of its deviation are kept for the way back.
inline void normalise(const float* x, long width, const float* weight, const float* bias, float eps, float* moments,
                      bf16* to) {
    V sum = zeros(), squares = zeros();
    for (long c = 0; c < width; c += LANES) sum = _mm512_add_ps(sum, load(x + c));
    const float mean = sum_of(sum) / float(width);
    for (long c = 0; c < width; c += LANES) {
        const V d = _mm512_sub_ps(load(x + c), all(mean));
        squares = _mm512_fmadd_ps(d, d, squares);
    }
    const float inverse = 1 / std::sqrt(sum_of(squares) / float(width) + eps);
    for (long c = 0; c < width; c += LANES) {
        const V d = _mm512_mul_ps(_mm512_sub_ps(load(x + c), all(mean)), all(inverse));
        store(to + c, _mm512_fmadd_ps(d, load(weight + c), load(bias + c)));
    }
    moments[0] = mean;
    moments[1] = inverse;
}

// The gradient of one row through its norm, added to `beside`, that of the path around; those of the norm's weight and
// bias are added to what they are already.
inline void normalise_backward(const float* grad, const float* x, long width, const float* weight, const float* moments,
                               const float* beside, float* of_x, float* of_weight, float* of_bias) {
    const V mean = all(moments[0]), inverse = all(moments[1]);
    V sum = zeros(), along = zeros();
    for (long c = 0; c < width; c += LANES) {
        const V g = load(grad + c), y = _mm512_mul_ps(_mm512_sub_ps(load(x + c), mean), inverse);
        const V weighted = _mm512_mul_ps(g, load(weight + c));
        sum = _mm512_add_ps(sum, weighted);
        along = _mm512_fmadd_ps(weighted, y, along);
        store(of_weight + c, _mm512_fmadd_ps(g, y, load(of_weight + c)));
        store(of_bias + c, _mm512_add_ps(g, load(of_bias + c)));
    }
    const V shift = all(sum_of(sum) / float(width)), tilt = all(sum_of(along) / float(width));
    for (long c = 0; c < width; c += LANES) {
        const V y = _mm512_mul_ps(_mm512_sub_ps(load(x + c), mean), inverse);
        const V weighted = _mm512_mul_ps(load(grad + c), load(weight + c));
        const V inside = _mm512_sub_ps(_mm512_sub_ps(weighted, shift), _mm512_mul_ps(y, tilt));
        store(of_x + c, _mm512_fmadd_ps(inside, inverse, load(beside + c)));
    }
}

// Dropout (Srivastava et al. 2014): a bit for each activation, 1 if it is kept. Bits are a hash of the seed and the
// activation's number, a byte each, so that they do not depend on who computes them.
struct Dropout {
    const uint8_t* bits;  // null: everything is kept
    float scale;          // of what is kept

    // The sixteen factors from activation `first` on, a multiple of 16.
    V factors(long first) const {
        if (!bits) return all(1.0f);
        const uint8_t* at = bits + first / 8;
        return _mm512_maskz_mov_ps(__mmask16(at[0] | at[1] << 8), all(scale));
    }
};

// The bits of activations 64 chunk to 64 chunk + 63, each kept if its byte is at least `dropped`.
inline uint64_t kept_bits(uint64_t seed, long chunk, int dropped) {
    const __m512i lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    __m512i x = _mm512_add_epi32(_mm512_set1_epi32(int(uint32_t(chunk) * 16u + uint32_t(seed))), lanes);
    const auto mix = [&x] {  // Wellons' lowbias32
        x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
        x = _mm512_mullo_epi32(x, _mm512_set1_epi32(0x7feb352d));
        x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 15));
        x = _mm512_mullo_epi32(x, _mm512_set1_epi32(int(0x846ca68bu)));
        x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
    };
    mix();
    x = _mm512_xor_si512(x, _mm512_set1_epi32(int(uint32_t(seed >> 32))));
    mix();
    return _mm512_cmp_epu8_mask(x, _mm512_set1_epi8(char(dropped)), _MM_CMPINT_NLT);
}

}  // namespace vecformer
