// What each row, a word, goes through by itself: norms, dropout, sums and products.
#pragma once
#include <cmath>

#include "gemm.h"

namespace vecformer {

// LayerNorm (Ba et al. 2016) of one row: its mean and the inverse of its deviation are kept for the way back.
template <class T>
void normalise(const float* x, long width, const float* weight, const float* bias, float eps, float* moments, T* to) {
    V sum = zeros(), squares = zeros();
    for (long c = 0; c < width; c += LANES) sum = sum + load(x + c);
    const float mean = sum_of(sum) / float(width);
    for (long c = 0; c < width; c += LANES) {
        const V d = load(x + c) - all(mean);
        squares = fma(d, d, squares);
    }
    const float inverse = 1 / std::sqrt(sum_of(squares) / float(width) + eps);
    for (long c = 0; c < width; c += LANES) {
        const V d = (load(x + c) - all(mean)) * all(inverse);
        store(to + c, fma(d, load(weight + c), load(bias + c)));
    }
    moments[0] = mean;
    moments[1] = inverse;
}

// The gradient of one row through its norm, added to `beside`, that of the path around, or null; those of the norm's
// weight and bias are added to what they are already.
inline void normalise_backward(const float* grad, const float* x, long width, const float* weight, const float* moments,
                               const float* beside, float* of_x, float* of_weight, float* of_bias) {
    const V mean = all(moments[0]), inverse = all(moments[1]);
    V sum = zeros(), along = zeros();
    for (long c = 0; c < width; c += LANES) {
        const V g = load(grad + c), y = (load(x + c) - mean) * inverse;
        const V weighted = g * load(weight + c);
        sum = sum + weighted;
        along = fma(weighted, y, along);
        store(of_weight + c, fma(g, y, load(of_weight + c)));
        store(of_bias + c, g + load(of_bias + c));
    }
    const V shift = all(sum_of(sum) / float(width)), tilt = all(sum_of(along) / float(width));
    for (long c = 0; c < width; c += LANES) {
        const V y = (load(x + c) - mean) * inverse;
        const V weighted = load(grad + c) * load(weight + c);
        const V inside = weighted - shift - y * tilt;
        store(of_x + c, fma(inside, inverse, beside ? load(beside + c) : zeros()));
    }
}

inline float product_of(const float* a, const float* b, long width) {
    V sum = zeros();
    for (long c = 0; c < width; c += LANES) sum = fma(load(a + c), load(b + c), sum);
    return sum_of(sum);
}

inline void add_times(float times, const float* from, long width, float* to) {
    for (long c = 0; c < width; c += LANES) store(to + c, fma(all(times), load(from + c), load(to + c)));
}

// Dropout (Srivastava et al. 2014): a bit for each activation, 1 if it is kept. Bits are a hash of the seed and the
// activation's number, a byte each, so that they do not depend on who computes them.
struct Dropout {
    const uint8_t* bits;  // null: everything is kept
    float scale;          // of what is kept

    // LANES factors from activation `first` on, a multiple of LANES.
    V factors(long first) const { return bits ? only(lanes_of(bits + first / 8), all(scale)) : all(1.0f); }
};

using Words = uint32_t __attribute__((vector_size(64)));

// The bits of activations 64 chunk to 64 chunk + 63, each kept if its byte is at least `dropped`.
inline uint64_t kept_bits(uint64_t seed, long chunk, int dropped) {
    Words x = Words{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} + (uint32_t(chunk) * 16u + uint32_t(seed));
    const auto mix = [&x] {  // Wellons' lowbias32
        x ^= x >> 16;
        x *= 0x7feb352du;
        x ^= x >> 15;
        x *= 0x846ca68bu;
        x ^= x >> 16;
    };
    mix();
    x ^= uint32_t(seed >> 32);
    mix();
    return at_least(&x, dropped);
}

}  // namespace vecformer
