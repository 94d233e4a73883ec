// GEMM operands in float32: a packed element is one float.
#pragma once
#include "simd.h"

namespace vecformer {

using Activation = float;  // storage type of activations
using Packed = float;      // one element along k
using PackedVec = Vec;     // LANES packed elements

constexpr long K_PACK = 1;         // elements along k per packed element
constexpr bool FAST_MATH = false;  // exp2 and gelu to float32 accuracy

inline PackedVec load_packed(const Packed* src) { return load(src); }
inline PackedVec broadcast(const Packed* src) { return set1(*src); }
inline PackedVec packed_ones() { return set1(1.0f); }
inline Vec dot_accumulate(Vec acc, PackedVec a, PackedVec b) { return fma(a, b, acc); }

// See gemm_bf16.h.
inline void store_packed_rows(Packed* dst, Vec a, Vec b, bool has_second) {
    store(dst, a);
    if (has_second) store(dst + LANES, b);
}

// See gemm_bf16.h.
inline void pack_panel_transposed(const float* w, long stride, long n_rows, long k, long first, Packed* panel,
                                  float scale = 1) {
    for (long k0 = 0; k0 < k; k0 += LANES) {
        Vec rows[LANES];
        for (long i = 0; i < LANES; ++i)
            rows[i] = first + i < n_rows ? load(w + (first + i) * stride + k0) * set1(scale) : zero();
        transpose(rows);
        for (long i = 0; i < LANES; ++i) store(panel + (k0 + i) * LANES, rows[i]);
    }
}

// See gemm_bf16.h.
inline void pack_panel(const float* b, long stride, long n_rows, long first, Packed* panel, float scale) {
    for (long k = 0; k < n_rows; ++k) store(panel + k * LANES, load(b + k * stride + first) * set1(scale));
}

// See gemm_bf16.h.
inline void pack_matrix(const float* b, long stride, long n_rows, long n_columns, Packed* packed) {
    for (long c = 0; c < n_columns; c += LANES) pack_panel(b, stride, n_rows, c, packed + c * n_rows, 1);
}

}  // namespace vecformer
