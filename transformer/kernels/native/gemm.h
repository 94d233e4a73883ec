// Matrix products C = A B with float32 accumulation.
//
// B is packed into panels of LANES columns. For each step along k, a panel holds LANES packed elements; such an element
// is what one instruction consumes of a column: two bfloat16 (gemm_bf16.h) or one float (gemm_fp32.h). A is row-major;
// a packed matrix can also be used as A, transposed. Lengths along k and strides of A are counted in packed elements.
#pragma once
#include <algorithm>
#include <utility>

#ifdef __AVX512BF16__
#include "gemm_bf16.h"
#else
#include "gemm_fp32.h"
#endif
#include "gemm_amx.h"

namespace vecformer {

// Number of packed elements that hold k elements.
inline long packed_length(long k) { return (k + K_PACK - 1) / K_PACK; }

// Compute MR rows and LANES * NV columns of C. Rows of A are `a_row` apart, successive packed elements `a_step`.
template <int MR, int NV, bool ACCUMULATE>
void micro_kernel(const Packed* a, long a_row, long a_step, const Packed* b, long panel_stride, long k, float* c,
                  long c_stride) {
    Vec acc[MR][NV];
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m)
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) acc[m][v] = ACCUMULATE ? load(c + m * c_stride + v * LANES) : zero();
    for (long i = 0; i < k; ++i, a += a_step, b += LANES) {
        PackedVec b_vec[NV];
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) b_vec[v] = load_packed(b + v * panel_stride);
#pragma GCC unroll 16
        for (int m = 0; m < MR; ++m) {
            const PackedVec a_vec = broadcast(a + m * a_row);
#pragma GCC unroll 4
            for (int v = 0; v < NV; ++v) acc[m][v] = dot_accumulate(acc[m][v], a_vec, b_vec[v]);
        }
    }
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m)
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) store(c + m * c_stride + v * LANES, acc[m][v]);
}

using MicroKernel = void (*)(const Packed*, long, long, const Packed*, long, long, float*, long);

// Vectors and rows of a tile, chosen to fit in the registers together with their operands; _T where A is packed.
constexpr long TILE_NV = 2, TILE_MR = LANES == 16 ? 12 : 6;
constexpr long TILE_NV_T = 3, TILE_MR_T = LANES / 2;

template <int... M>
MicroKernel micro_kernel_for(long rows, long vectors, std::integer_sequence<int, M...>) {
    static constexpr MicroKernel kernels[][2] = {{micro_kernel<M + 1, 1, false>, micro_kernel<M + 1, 2, false>}...};
    return kernels[rows - 1][vectors - 1];
}

// C = A B. A is row-major, (n_rows, k); n_columns is a multiple of LANES.
inline void gemm(const void* a, long a_stride, long n_rows, const Packed* b, long panel_stride, long k, long n_columns,
                 float* c, long c_stride) {
    const Packed* a_packed = static_cast<const Packed*>(a);
#ifdef VECFORMER_AMX
    if (use_matrix_units && k * n_columns >= MIN_AMX_SIZE)
        return gemm_amx(a_packed, a_stride, n_rows, b, panel_stride, k, n_columns, c, c_stride, false);
#endif
    for (long n = 0; n < n_columns; n += TILE_NV * LANES) {
        const long vectors = std::min(TILE_NV, (n_columns - n) / LANES);
        for (long m = 0; m < n_rows; m += TILE_MR)
            micro_kernel_for(std::min(TILE_MR, n_rows - m), vectors, std::make_integer_sequence<int, TILE_MR>())(
                a_packed + m * a_stride, a_stride, 1, b + n / LANES * panel_stride, panel_stride, k,
                c + m * c_stride + n, c_stride);
    }
}

// C = A^T B, or C += A^T B if ACCUMULATE, both packed; n_rows (of C) and n_columns are multiples of LANES.
template <bool ACCUMULATE>
void gemm_tn(const Packed* a, long n_rows, const Packed* b, long k, long n_columns, float* c, long c_stride) {
    const long panel_stride = k * LANES;
#ifdef VECFORMER_AMX
    if (use_matrix_units && ACCUMULATE) return gemm_tn_amx(a, n_rows, b, k, n_columns, c, c_stride);
#endif
    for (long n = 0, vectors; n < n_columns; n += vectors * LANES) {
        const long remaining = (n_columns - n) / LANES;
        vectors = remaining == 4 ? 2 : std::min(TILE_NV_T, remaining);  // 2 + 2 is faster than 3 + 1
        const MicroKernel kernel = vectors == 3   ? micro_kernel<TILE_MR_T, 3, ACCUMULATE>
                                   : vectors == 2 ? micro_kernel<TILE_MR_T, 2, ACCUMULATE>
                                                  : micro_kernel<TILE_MR_T, 1, ACCUMULATE>;
        for (long m = 0; m < n_rows; m += TILE_MR_T)
            kernel(a + m / LANES * panel_stride + m % LANES, 1, LANES, b + n / LANES * panel_stride, panel_stride, k,
                   c + m * c_stride + n, c_stride);
    }
}

}  // namespace vecformer
