// Quantisation to 8 bits and integer matrix products: activations with one scale per row, weights with one per column.
#pragma once
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "simd.h"

namespace vecformer {

// Compute MR rows and LANES * NV columns of A B. Rows of A are a_stride bytes apart; B is packed into panels of LANES
// columns, with groups of four elements that are adjacent along k. k counts such groups and is even. Not inlined, since
// the accumulators would then be spilled from the registers.
template <int MR, int NV>
__attribute__((noinline)) void int8_micro_kernel(const uint8_t* a, long a_stride, const int32_t* b, long panel_stride,
                                                 long k, IntVec result[MR][NV]) {
    IntVec acc[MR][NV] = {};
    for (long i = 0; i < k; i += 2, a += 8, b += 2 * LANES) {
        IntVec b_vec[2][NV];
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) {
            b_vec[0][v] = load_int(b + v * panel_stride);
            b_vec[1][v] = load_int(b + v * panel_stride + LANES);
        }
#pragma GCC unroll 16
        for (int m = 0; m < MR; ++m) {
            const IntVec a_vec = broadcast4(a + m * a_stride), a_next = broadcast4(a + m * a_stride + 4);
#pragma GCC unroll 4
            for (int v = 0; v < NV; ++v) acc[m][v] = dot_u8s8(acc[m][v], a_vec, b_vec[0][v], a_next, b_vec[1][v]);
        }
    }
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m)
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) result[m][v] = acc[m][v];
}

constexpr int INT8_TILE_NV = 2, INT8_TILE_MR = LANES == 16 ? 12 : 4;

// Call body(rows, first) for tiles of rows: full tiles, then tiles of 4, then single rows. `rows` is a compile-time
// constant.
template <class Body>
inline void for_each_tile(long n_rows, const Body& body) {
    long m = 0;
    for (; m + INT8_TILE_MR <= n_rows; m += INT8_TILE_MR) body(std::integral_constant<int, INT8_TILE_MR>(), m);
    if (INT8_TILE_MR > 4)
        for (; m + 4 <= n_rows; m += 4) body(std::integral_constant<int, 4>(), m);
    for (; m < n_rows; ++m) body(std::integral_constant<int, 1>(), m);
}

// C = A B in int32; n_columns is a multiple of LANES. Calls epilogue(rows, first row, column, acc) for each column
// vector of a tile, where acc(m) returns the sums of row first + m.
template <class Epilogue>
void gemm_int8(const uint8_t* a, long a_stride, long n_rows, const int32_t* b, long k, long n_columns,
               const Epilogue& epilogue) {
    const long panel_stride = k * LANES;
    const auto columns = [&](auto vectors, long n) {
        constexpr int NV = decltype(vectors)::value;
        for_each_tile(n_rows, [&](auto rows, long first) {
            constexpr int MR = decltype(rows)::value;
            IntVec acc[MR][NV];
            int8_micro_kernel<MR, NV>(a + first * a_stride, a_stride, b + n / LANES * panel_stride, panel_stride, k,
                                      acc);
#pragma GCC unroll 4
            for (int v = 0; v < NV; ++v) epilogue(rows, first, n + v * LANES, [&](int m) { return acc[m][v]; });
        });
    };
    long n = 0;
    for (; n + INT8_TILE_NV * LANES <= n_columns; n += INT8_TILE_NV * LANES)
        columns(std::integral_constant<int, INT8_TILE_NV>(), n);
    for (; n < n_columns; n += LANES) columns(std::integral_constant<int, 1>(), n);
}

// Store round(row[c] * scale + zero_point), which must be in the range of int8 (SIGNED) or uint8, and return the sum.
template <bool SIGNED>
float quantize(const float* row, long width, float scale, float zero_point, void* dst) {
    uint8_t* q = static_cast<uint8_t*>(dst);
    IntVec sum{};
    const auto quantized = [&](long c) {
        const IntVec x = to_int(fma(load(row + c), set1(scale), set1(zero_point)));
        sum = add(sum, x);
        return x;
    };
    long c = 0;
    for (; c + 4 * LANES <= width; c += 4 * LANES) {
        const IntVec x[4] = {quantized(c), quantized(c + LANES), quantized(c + 2 * LANES), quantized(c + 3 * LANES)};
        store_int8<SIGNED>(q + c, x);
    }
    for (; c < width; c += LANES) store_int8(q + c, quantized(c));
    return reduce_add(to_float(sum));
}

// Asymmetric quantisation of a row: x = minimum + scale * q.
struct RowQuant {
    float scale, minimum;
};

// Quantise a row of activations to uint8; `maximum` and `minimum` hold the extremes of each lane.
inline RowQuant quantize_activations(const float* row, long width, Vec maximum, Vec minimum, uint8_t* q) {
    const float low = reduce_min(minimum), scale = std::max((reduce_max(maximum) - low) / ACTIVATION_QMAX, 1e-30f);
    quantize<false>(row, width, 1 / scale, -low / scale, q);
    return {scale, low};
}

inline RowQuant quantize_activations(const float* row, long width, uint8_t* q) {
    Vec maximum = load(row), minimum = maximum;
    for (long c = LANES; c < width; c += LANES) {
        maximum = max(maximum, load(row + c));
        minimum = min(minimum, load(row + c));
    }
    return quantize_activations(row, width, maximum, minimum, q);
}

// LayerNorm of a row, as float32 in y and quantised in q.
inline RowQuant layer_norm_quantize(const float* x, long width, const float* weight, const float* bias, float eps,
                                    float* y, uint8_t* q) {
    Vec sum = zero(), squares = zero();
    for (long c = 0; c < width; c += LANES) {
        const Vec value = load(x + c);
        sum = sum + value;
        squares = fma(value, value, squares);
    }
    const float mean = reduce_add(sum) / float(width);
    const float rstd = 1 / std::sqrt(std::max(0.0f, reduce_add(squares) / float(width) - mean * mean) + eps);
    const Vec scale = set1(rstd), shift = set1(-mean * rstd);
    Vec maximum = set1(-INFINITY), minimum = set1(INFINITY);
    for (long c = 0; c < width; c += LANES) {
        const Vec value = fma(fma(load(x + c), scale, shift), load(weight + c), load(bias + c));
        store(y + c, value);
        maximum = max(maximum, value);
        minimum = min(minimum, value);
    }
    return quantize_activations(y, width, maximum, minimum, q);
}

// Symmetric quantisation of a row: x = scale * (q - zero_point).
struct SymmetricQuant {
    float scale, sum;  // sum: of all q
};

// Quantise a row to integers in [zero_point - qmax, zero_point + qmax].
template <bool SIGNED>
SymmetricQuant quantize_symmetric(const float* row, long width, int qmax, int zero_point, void* q) {
    Vec maximum = zero();
    for (long c = 0; c < width; c += LANES) maximum = max(maximum, abs(load(row + c)));
    const float scale = std::max(reduce_max(maximum) / float(qmax), 1e-30f);
    return {scale, quantize<SIGNED>(row, width, 1 / scale, float(zero_point), q)};
}

using Int32Lanes = int32_t __attribute__((vector_size(4 * LANES)));

// 2^x for x <= 0, relative error 2e-3; x is clamped to -126. Adding a large number rounds x to an integer, which is
// then in the lowest bits of the sum.
inline Vec fast_exp2(Vec x) {
    const Vec large = set1(12582912.0f);  // 1.5 * 2^23
    const Vec clamped = max(x, set1(-126.0f)), n = clamped + large, r = clamped - (n - large);
    const Vec p = fma(fma(set1(0.23842876f), r, set1(0.70344802f)), r, set1(1.00044317f));
    return (Vec)((Int32Lanes)p + ((Int32Lanes)n << 23));
}

// GELU, absolute error 4e-3. Phi is a polynomial on [-3.2, 3.2], fitted to minimise the largest error of GELU.
inline Vec fast_gelu(Vec x) {
    const Vec clamped = min(max(x, set1(-3.2f)), set1(3.2f)), square = clamped * clamped;
    Vec p = fma(set1(1.33577151e-5f), square, set1(-4.80584375e-4f));
    p = fma(p, square, set1(7.23018318e-3f));
    p = fma(p, square, set1(-6.13885789e-2f));
    p = fma(p, square, set1(0.395730412f));
    return x * fma(p, clamped, set1(0.5f));
}

}  // namespace vecformer
