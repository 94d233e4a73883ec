// Row-wise operations: layer normalisation, dropout, dot products, axpy.
#pragma once
#include <cmath>

#include "gemm.h"
#include "threads.h"

namespace vecformer {

// LayerNorm of one row (Ba et al. 2016, arXiv 1607.06450). `stats` receives the mean and the reciprocal standard
// deviation, which the backward pass needs.
template <class T>
void layer_norm(const float* x, long width, const float* weight, const float* bias, float eps, float* stats, T* y) {
    Vec sum = zero(), squares = zero();
    for (long c = 0; c < width; c += LANES) sum = sum + load(x + c);
    const float mean = reduce_add(sum) / float(width);
    for (long c = 0; c < width; c += LANES) {
        const Vec d = load(x + c) - set1(mean);
        squares = fma(d, d, squares);
    }
    const float rstd = 1 / std::sqrt(reduce_add(squares) / float(width) + eps);
    for (long c = 0; c < width; c += LANES) {
        const Vec d = (load(x + c) - set1(mean)) * set1(rstd);
        store(y + c, fma(d, load(weight + c), load(bias + c)));
    }
    stats[0] = mean;
    stats[1] = rstd;
}

// Backward pass of layer_norm for one row: dx = the gradient with respect to x, plus d_residual (the gradient of the
// residual connection) unless it is null. The gradients of weight and bias are added to dweight and dbias.
inline void layer_norm_backward(const float* dy, const float* x, long width, const float* weight, const float* stats,
                                const float* d_residual, float* dx, float* dweight, float* dbias) {
    const Vec mean = set1(stats[0]), rstd = set1(stats[1]);
    Vec sum = zero(), projection = zero();
    for (long c = 0; c < width; c += LANES) {
        const Vec g = load(dy + c), normalized = (load(x + c) - mean) * rstd;
        const Vec weighted = g * load(weight + c);
        sum = sum + weighted;
        projection = fma(weighted, normalized, projection);
        store(dweight + c, fma(g, normalized, load(dweight + c)));
        store(dbias + c, g + load(dbias + c));
    }
    const Vec mean_grad = set1(reduce_add(sum) / float(width));
    const Vec mean_projection = set1(reduce_add(projection) / float(width));
    for (long c = 0; c < width; c += LANES) {
        const Vec normalized = (load(x + c) - mean) * rstd;
        const Vec weighted = load(dy + c) * load(weight + c);
        const Vec centred = weighted - mean_grad - normalized * mean_projection;
        store(dx + c, fma(centred, rstd, d_residual ? load(d_residual + c) : zero()));
    }
}

// a . b
inline float dot(const float* a, const float* b, long width) {
    Vec sum = zero();
    for (long c = 0; c < width; c += LANES) sum = fma(load(a + c), load(b + c), sum);
    return reduce_add(sum);
}

// y += a x
inline void axpy(float a, const float* x, long width, float* y) {
    for (long c = 0; c < width; c += LANES) store(y + c, fma(set1(a), load(x + c), load(y + c)));
}

// Dropout (Srivastava et al. 2014). The mask has one bit per activation: 1 keeps it.
struct Dropout {
    const uint8_t* mask;  // null: no dropout
    float scale;          // factor of the activations that are kept: 1 / (1 - p)

    // With the dropout probability threshold / 256; 0 for no dropout.
    Dropout(const uint8_t* bits, long threshold)
        : mask(threshold ? bits : nullptr), scale(256.0f / float(256 - threshold)) {}

    // Factors, 0 or scale, of LANES activations from index `first`, a multiple of LANES.
    Vec factors(long first) const {
        return mask ? mask_zero(mask_from_bits(mask + first / 8), set1(scale)) : set1(1.0f);
    }
};

using UInt32x16 = uint32_t __attribute__((vector_size(64)));

// Bits `64 chunk` to `64 chunk + 63` of the dropout mask. Every activation has one pseudorandom byte and is kept if the
// byte is at least `threshold` (dropout probability: threshold / 256). The bytes are a hash of the seed and the index,
// so they do not depend on the number of threads.
inline uint64_t dropout_mask_bits(uint64_t seed, long chunk, int threshold) {
    UInt32x16 x =
        UInt32x16{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} + (uint32_t(chunk) * 16u + uint32_t(seed));
    const auto mix = [&x] {  // lowbias32 (Wellons 2018)
        x ^= x >> 16;
        x *= 0x7feb352du;
        x ^= x >> 15;
        x *= 0x846ca68bu;
        x ^= x >> 16;
    };
    mix();
    x ^= uint32_t(seed >> 32);
    mix();
    return ge_mask(&x, threshold);
}

// Draw the first n bits of a dropout mask, in whole 64-bit words, in parallel. Without a threshold, there is no mask.
inline void draw_dropout_bits(uint8_t* mask, long n, uint64_t seed, long threshold, long n_threads) {
    if (!threshold) return;
    const long chunks = (n + 63) / 64;
    parallel_for(n_threads, [&](long thread) {
        uint64_t* words = reinterpret_cast<uint64_t*>(mask);
        for (long chunk = chunks * thread / n_threads; chunk < chunks * (thread + 1) / n_threads; ++chunk)
            words[chunk] = dropout_mask_bits(seed, chunk, int(threshold));
    });
}

}  // namespace vecformer
