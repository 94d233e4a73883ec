// float32 throughout: right factors of matrix products are made of single floats.
#pragma once
#include "simd.h"

namespace vecformer {

using Low = float;   // what activations are kept in
using Unit = float;  // a term of a sum
using Factor = V;    // LANES units

constexpr long PER_UNIT = 1;
constexpr bool ROUGH = false;

inline Factor factor_at(const Unit* units) { return load(units); }
inline Factor broadcast(const Unit* unit) { return all(*unit); }
inline Factor ones() { return all(1.0f); }
inline V dot(V sum, Factor left, Factor right) { return fma(left, right, sum); }

// As in gemm_bf16.h.
inline void store_rows(Unit* at, V a, V b, bool both) {
    store(at, a);
    if (both) store(at + LANES, b);
}

// As in gemm_bf16.h.
inline void pack_transposed(const float* w, long stride, long n_rows, long n_terms, long first, Unit* panel,
                            float times = 1) {
    for (long k = 0; k < n_terms; k += LANES) {
        V rows[LANES];
        for (long i = 0; i < LANES; ++i)
            rows[i] = first + i < n_rows ? load(w + (first + i) * stride + k) * all(times) : zeros();
        transpose(rows);
        for (long i = 0; i < LANES; ++i) store(panel + (k + i) * LANES, rows[i]);
    }
}

// As in gemm_bf16.h.
inline void pack(const float* b, long stride, long n_rows, long first, Unit* panel, float times) {
    for (long k = 0; k < n_rows; ++k) store(panel + k * LANES, load(b + k * stride + first) * all(times));
}

// As in gemm_bf16.h.
inline void pack_all(const float* b, long stride, long n_rows, long n_columns, Unit* panels) {
    for (long c = 0; c < n_columns; c += LANES) pack(b, stride, n_rows, c, panels + c * n_rows, 1);
}

}  // namespace vecformer
