// Convolutions over neighbouring tokens, forward and backward: the computation of transformer/layers/convolution.py.
#include "gradients.h"
#include "layer.h"

namespace vecformer {

// Number of padded rows, and the width of all filters together.
static long padded_rows(const Convolution& call) { return call.n_rows + (call.n_seqs + 1) * call.half; }
static long features(const Convolution& call) { return call.n_filters * call.d_model; }

// Packed weights: those of each filter, then the output projection.
static Packed* packed_filter(const Convolution& call, long filter) {
    Packed* at = call.packed_weights;
    for (long i = 0; i < filter; ++i) at += call.widths[i] * call.d_model * call.d_model / K_PACK;
    return at;
}

// Call body(first, n) for blocks of padded rows that may be tokens, in parallel; with a multiple of the usual size.
template <class Body>
static void parallel_blocks(const Convolution& call, long multiple, const Body& body) {
    const long n = padded_rows(call) - 2 * call.half;
    parallel_for(call.n_threads, [&](long thread) {
        for_each_block(call.half + first_row(n, call.n_threads, thread),
                       call.half + first_row(n, call.n_threads, thread + 1), row_block() * multiple,
                       [&](long first, long size) { body(thread, first, size); });
    });
}

// Number the padded rows, and normalise the rows of x into them.
static void normalise(const Convolution& call) {
    const long d = call.d_model, n_padded = padded_rows(call);
    std::fill_n(call.padded, n_padded, -1);
    for (long sequence = 0; sequence < call.n_seqs; ++sequence)
        for (long row = call.cu_seqlens[sequence]; row < call.cu_seqlens[sequence + 1]; ++row)
            call.padded[row + (sequence + 1) * call.half] = row;
    parallel_for(call.n_threads, [&](long thread) {
        for (long p = n_padded * thread / call.n_threads; p < n_padded * (thread + 1) / call.n_threads; ++p) {
            const long row = call.padded[p];
            Activation* y = call.normed + p * d;
            if (row < 0) std::fill_n(y, d, Activation{});
            else
                layer_norm(call.x + row * d, d, call.norm.weight, call.norm.bias, float(call.eps),
                           call.norm_stats + 2 * row, y);
        }
    });
}

static void forward(const Convolution& call) {
    const long d = call.d_model, all = features(call);
    const Dropout dropout(call.dropout_mask, call.dropout_threshold);
    Packed* const packed_output = packed_filter(call, call.n_filters);
    parallel_for_dynamic(call.n_threads, (call.n_filters + 1) * d / LANES, [&](long item) {
        const long filter = item * LANES / d, column = item * LANES % d;
        const bool is_output = filter == call.n_filters;
        const long k = is_output ? all : call.widths[filter] * d;
        pack_panel_transposed((is_output ? call.output : call.filters[filter]).weight, k, column + LANES, k, column,
                              packed_filter(call, filter) + column * k / K_PACK);
    });
    draw_dropout_bits(call.dropout_mask, call.n_rows * d, call.seed, call.dropout_threshold, call.n_threads);
    normalise(call);
    parallel_blocks(call, 1, [&](long, long first, long n) {
        scratch.clear();
        float* products = scratch.alloc<float>(row_block() * d);
        for (long filter = 0; filter < call.n_filters; ++filter) {
            const long width = call.widths[filter], k = width * d / K_PACK;
            gemm(call.normed + (first - width / 2) * d, d / K_PACK, n, packed_filter(call, filter), k * LANES, k, d,
                 products, d);
            for (long r = 0; r < n; ++r)
                for (long c = 0; c < d; c += LANES) {
                    const long at = (first + r) * all + filter * d + c;
                    const Vec inner = load(products + r * d + c) + load(call.filters[filter].bias + c);
                    const ValueAndGrad activated = gelu<FAST_MATH>(inner);
                    store(call.activated + at, activated.value);
                    if (call.activation_grad) store(call.activation_grad + at, activated.grad);
                }
        }
        gemm_rows(call.activated + first * all, all, n, packed_output, d, products);
        for (long r = 0; r < n; ++r) {
            const long row = call.padded[first + r];
            for (long c = 0; row >= 0 && c < d; c += LANES) {
                const Vec branch = load(products + r * d + c) + load(call.output.bias + c);
                store(call.out + row * d + c, fma(branch, dropout.factors(row * d + c), load(call.x + row * d + c)));
            }
        }
    });
}

// Pointers into d_weights: the gradients that one thread accumulates.
struct ConvolutionGrads {
    struct Grad {
        float *weight, *bias;
    };
    Grad norm, output;
    std::vector<Grad> filters;
    float* begin;
    long size;

    ConvolutionGrads(const Convolution& call, long thread) {
        const long d = call.d_model, all = features(call);
        size = 3 * d + all * d + all;
        for (long i = 0; i < call.n_filters; ++i) size += call.widths[i] * d * d;
        float* at = begin = call.d_weights + thread * size;
        norm = {at, at + d}, at += 2 * d;
        for (long i = 0; i < call.n_filters; ++i) {
            const long n_weights = call.widths[i] * d * d;
            filters.push_back({at, at + n_weights}), at += n_weights + d;
        }
        output = {at, at + all * d};
    }
};

// From dout to d_filters, and the gradients of the output projection and of the filters.
static void backward_to_filters(const Convolution& call, const ConvolutionGrads& grads, long first, long n_rows) {
    const long d = call.d_model, all = features(call), n_padded = padded_rows(call), max_n = row_block() * BLOCKS_PER_GRAD;
    const Dropout dropout(call.dropout_mask, call.dropout_threshold);
    scratch.clear();
    Activation* d_branch = scratch.alloc<Activation>(max_n * d);
    float* products = scratch.alloc<float>(row_block() * all);
    Packed* packed_dy = scratch.alloc<Packed>(packed_length(max_n) * d);
    Packed* packed_x = scratch.alloc<Packed>(packed_length(max_n) * std::max(all, (2 * call.half + 1) * d));
    for_each_block(0, n_rows, row_block(), [&](long from, long n) {
        for (long r = from; r < from + n; ++r) {
            const long row = call.padded[first + r];
            if (row < 0) std::fill_n(d_branch + r * d, d, Activation{});
            else dropout_backward(call.dout + row * d, dropout, row * d, d, d_branch + r * d);
        }
        gemm_rows(d_branch + from * d, d, n, packed_filter(call, call.n_filters), all, products);
        for (long r = 0; r < n; ++r)
            for (long c = 0; c < all; c += LANES) {
                const long padded = first + from + r;
                store(call.d_filters + (c / d * n_padded + padded) * d + c % d,
                      load(products + r * all + c) * load(call.activation_grad + padded * all + c));
            }
    });
    accumulate_linear_grads(grads.output, {d_branch, d, d}, {call.activated + first * all, all, all}, n_rows, packed_dy,
                            packed_x);
    for (long i = 0; i < call.n_filters; ++i)
        accumulate_linear_grads(grads.filters[i], {call.d_filters + (i * n_padded + first) * d, d, d},
                                {call.normed + (first - call.widths[i] / 2) * d, call.widths[i] * d, d}, n_rows,
                                packed_dy, packed_x);
}

// From d_filters to dx: a convolution with the flipped filters, and the backward pass of the norm.
static void backward_to_input(const Convolution& call, const ConvolutionGrads& grads, long first, long n) {
    const long d = call.d_model, n_padded = padded_rows(call);
    scratch.clear();
    float *sum = scratch.alloc<float>(row_block() * d), *products = scratch.alloc<float>(row_block() * d);
    for (long i = 0; i < call.n_filters; ++i) {
        const long k = call.widths[i] * d / K_PACK;
        gemm(call.d_filters + (i * n_padded + first - call.widths[i] / 2) * d, d / K_PACK, n, packed_filter(call, i),
             k * LANES, k, d, i ? products : sum, d);
        for (long c = 0; i && c < n * d; c += LANES) store(sum + c, load(sum + c) + load(products + c));
    }
    for (long r = 0; r < n; ++r) {
        const long row = call.padded[first + r];
        if (row >= 0)
            layer_norm_backward(sum + r * d, call.x + row * d, d, call.norm.weight, call.norm_stats + 2 * row,
                                call.dout + row * d, call.dx + row * d, grads.norm.weight, grads.norm.bias);
    }
}

static void backward(const Convolution& call) {
    const long d = call.d_model, all = features(call), edge = call.half * d, n_padded = padded_rows(call);
    parallel_for_dynamic(call.n_threads, (call.n_filters * d + all) / LANES, [&](long item) {
        const long filter = std::min(item * LANES / d, long(call.n_filters)), column = item * LANES - filter * d;
        const bool is_output = filter == call.n_filters;
        const long k = is_output ? d : call.widths[filter] * d;
        pack_panel(is_output ? call.output.weight : call.flipped[filter].weight, is_output ? all : d, k, column,
                   packed_filter(call, filter) + column * k / K_PACK, 1);
    });
    std::vector<ConvolutionGrads> grads;
    for (long thread = 0; thread < call.n_threads; ++thread) grads.emplace_back(call, thread);
    parallel_for(call.n_threads, [&](long thread) { std::fill_n(grads[thread].begin, grads[thread].size, 0.0f); });
    for (long i = 0; i < call.n_filters; ++i) {
        std::fill_n(call.d_filters + i * n_padded * d, edge, Activation{});
        std::fill_n(call.d_filters + (i + 1) * n_padded * d - edge, edge, Activation{});
    }
    parallel_blocks(call, BLOCKS_PER_GRAD, [&](long thread, long first, long n) {
        backward_to_filters(call, grads[thread], first, n);
    });
    parallel_blocks(call, 1, [&](long thread, long first, long n) {
        backward_to_input(call, grads[thread], first, n);
    });
    const ConvolutionGrads& total = grads[0];
    parallel_for(call.n_threads, [&](long thread) {
        const long vectors = total.size / LANES;
        for (long i = vectors * thread / call.n_threads * LANES; i < vectors * (thread + 1) / call.n_threads * LANES;
             i += LANES)
            for (long other = 1; other < call.n_threads; ++other)
                store(total.begin + i, load(total.begin + i) + load(grads[other].begin + i));
    });
}

}  // namespace vecformer

extern "C" {
EXPORTED void vecformer_convolution(const vecformer::Convolution* call) { vecformer::forward(*call); }
EXPORTED void vecformer_convolution_backward(const vecformer::Convolution* call) { vecformer::backward(*call); }
}
