// Gradients of linear maps and of dropout, for a block of rows.
#pragma once
#include "elementwise.h"

namespace vecformer {

// Rows of activations, `stride` apart.
struct Rows {
    const Activation* data;
    long width, stride;
};

// Add to the gradients of a linear map's weight and bias, for n_rows rows. dy: gradient of its output; x: its input;
// packed_dy and packed_x: room for both, packed.
template <class Grad>
void accumulate_linear_grads(const Grad& grad, Rows dy, Rows x, long n_rows, Packed* packed_dy, Packed* packed_x) {
    const long k = packed_length(n_rows);
    pack_matrix(dy.data, dy.stride, n_rows, dy.width, packed_dy);
    pack_matrix(x.data, x.stride, n_rows, x.width, packed_x);
    gemm_tn<true>(packed_dy, dy.width, packed_x, k, x.width, grad.weight, x.width);
    for (long c = 0; c < dy.width; c += LANES) {
        Vec bias = load(grad.bias + c);
        for (long i = 0; i < k; ++i)
            bias = dot_accumulate(bias, load_packed(packed_dy + k * c + i * LANES), packed_ones());
        store(grad.bias + c, bias);
    }
}

// Backward pass of dropout; the first element has index `first` in the mask.
inline void dropout_backward(const float* dy, const Dropout& dropout, long first, long n, Activation* dx) {
    for (long c = 0; c < n; c += LANES) store(dx + c, load(dy + c) * dropout.factors(first + c));
}

}  // namespace vecformer
