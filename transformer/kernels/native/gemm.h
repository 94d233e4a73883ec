// Matrix products, summed in float32: C = A B.
//
// The right factor lies in panels: LANES columns each, one after another, and in each the units of successive rows; a
// unit is what one instruction takes of a column, two bfloat16 (gemm_bf16.h) or a float (gemm_fp32.h). Of the left factor the
// numbers of a unit must lie side by side; a matrix in panels can so be a left factor too, transposed.
#pragma once
#include <algorithm>
#include <utility>

#ifdef __AVX512BF16__
#include "gemm_bf16.h"
#else
#include "gemm_fp32.h"
#endif

namespace vecformer {

inline long n_units(long n_terms) { return (n_terms + PER_UNIT - 1) / PER_UNIT; }

// MR rows and LANES NV columns of the product. `a` steps by `row` from a row to the next and by `term` to the next
// unit.
template <int MR, int NV, bool ADD>
void tile(const Unit* a, long row, long term, const Unit* b, long panel, long units, float* c, long stride) {
    V sum[MR][NV];
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m)
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) sum[m][v] = ADD ? load(c + m * stride + v * LANES) : zeros();
    for (long k = 0; k < units; ++k, a += term, b += LANES) {
        Factor right[NV];
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) right[v] = factor_at(b + v * panel);
#pragma GCC unroll 16
        for (int m = 0; m < MR; ++m) {
            const Factor left = broadcast(a + m * row);
#pragma GCC unroll 4
            for (int v = 0; v < NV; ++v) sum[m][v] = dot(sum[m][v], left, right[v]);
        }
    }
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m)
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) store(c + m * stride + v * LANES, sum[m][v]);
}

using Tile = void (*)(const Unit*, long, long, const Unit*, long, long, float*, long);

// Vectors and rows of a tile, in registers with what they are made from; _T where the left factor is in panels.
constexpr long WIDE = 2, TALL = LANES == 16 ? 12 : 6;
constexpr long WIDE_T = 3, TALL_T = LANES / 2;

template <int... M>
Tile tile_of(long rows, long vectors, std::integer_sequence<int, M...>) {
    static constexpr Tile tiles[][2] = {{tile<M + 1, 1, false>, tile<M + 1, 2, false>}...};
    return tiles[rows - 1][vectors - 1];
}

// C = A B; A has rows of `units`, a_stride units apart; n_columns is a multiple of LANES.
inline void multiply(const void* a, long a_stride, long n_rows, const Unit* b, long panel, long units, long n_columns,
                     float* c, long stride) {
    const Unit* left = static_cast<const Unit*>(a);
    for (long n = 0; n < n_columns; n += WIDE * LANES) {
        const long vectors = std::min(WIDE, (n_columns - n) / LANES);
        for (long m = 0; m < n_rows; m += TALL)
            tile_of(std::min(TALL, n_rows - m), vectors, std::make_integer_sequence<int, TALL>())(
                left + m * a_stride, a_stride, 1, b + n / LANES * panel, panel, units, c + m * stride + n, stride);
    }
}

// C = A^T B, or C += A^T B, with both in panels of `units`; n_rows (of C) and n_columns are multiples of LANES.
template <bool ADD>
void multiply_transposed(const Unit* a, long n_rows, const Unit* b, long units, long n_columns, float* c, long stride) {
    const long panel = units * LANES;
    for (long n = 0, vectors; n < n_columns; n += vectors * LANES) {
        const long left = (n_columns - n) / LANES;
        vectors = left == 4 ? 2 : std::min(WIDE_T, left);  // two tiles of 2 are quicker than one of 3 and one of 1
        const Tile run = vectors == 3   ? tile<TALL_T, 3, ADD>
                         : vectors == 2 ? tile<TALL_T, 2, ADD>
                                        : tile<TALL_T, 1, ADD>;
        for (long m = 0; m < n_rows; m += TALL_T)
            run(a + m / LANES * panel + m % LANES, 1, LANES, b + n / LANES * panel, panel, units, c + m * stride + n,
                stride);
    }
}

}  // namespace vecformer
