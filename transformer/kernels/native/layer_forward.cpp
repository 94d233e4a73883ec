// Forward pass of a layer.
#include "layer.h"

namespace vecformer {

// Pack W^T of every linear map; the queries' weights are scaled.
void pack_weights_forward(const Layer& l) {
    const long d = l.d_model, f = l.d_ff, n_panels = (5 * d + f) / LANES;
    parallel_for_dynamic(l.n_threads, n_panels, [&](long item) {
        const long column = item * LANES, square = std::min(column / d, 4L);  // the first four maps are (d, d)
        const bool is_ffn_output = column >= 4 * d + f;
        const Affine& linear = l.weights.linears[is_ffn_output ? long(FFN_OUTPUT) : square];
        const long first = column - (is_ffn_output ? 4 * d + f : square * d), n_in = is_ffn_output ? f : d;
        Packed* dst =
            is_ffn_output ? packed_ffn_output(l) + first * f / K_PACK : l.packed_weights + column * d / K_PACK;
        pack_panel_transposed(linear.weight, n_in, first + LANES, n_in, first, dst,
                              square == 0 ? query_scale(l) : 1.0f);
    });
}

void draw_dropout_mask(const Layer& l) {
    draw_dropout_bits(l.dropout_mask, l.n_rows * (2 * l.d_model + l.d_ff), l.seed, l.dropout_threshold, l.n_threads);
}

// Convert float32 to the activation type. In float32 the two may be the same array.
static void convert(const float* src, long n, Activation* dst) {
    if (static_cast<const void*>(src) == dst) return;
    for (long i = 0; i < n; i += LANES) store(dst + i, load(src + i));
}

// The attention norm (pre-norm), and queries, keys and values.
static void forward_qkv(const Layer& l, long first, long n_rows) {
    const long d = l.d_model;
    scratch.clear();
    float* products = scratch.alloc<float>(row_block() * 3 * d);
    if (l.post) convert(l.x + first * d, n_rows * d, l.ln1_out + first * d);
    else layer_norm_rows(l, boundary_norm(l), l.x, first, n_rows, l.ln1_out);
    gemm_rows(l.ln1_out + first * d, d, n_rows, l.packed_weights, 3 * d, products);
    for (long r = 0; r < n_rows; ++r)
        for (long i = 0; i < 3; ++i)
            for (long c = 0; c < d; c += LANES) {
                Vec bias = load(l.weights.linears[i].bias + c);
                if (i == QUERY) bias = bias * set1(query_scale(l));
                store(l.qkv + (first + r) * 3 * d + i * d + c, load(products + r * 3 * d + i * d + c) + bias);
            }
}

// out = residual + dropout(products + bias)
static void add_to_residual(const float* products, const float* bias, const Dropout& dropout, const float* residual,
                            long first, long n_rows, long d, float* out) {
    for (long r = 0; r < n_rows; ++r)
        for (long c = 0; c < d; c += LANES) {
            const long at = (first + r) * d + c;
            const Vec branch = load(products + r * d + c) + load(bias + c);
            store(out + at, fma(branch, dropout.factors(at), load(residual + at)));
        }
}

// The output projection, the feed-forward block, and their norms.
void forward_after_attention(const Layer& l, long first, long n_rows) {
    const long d = l.d_model, f = l.d_ff;
    const Affine* linears = l.weights.linears;
    scratch.clear();
    float* products = scratch.alloc<float>(row_block() * std::max(d, f));
    gemm_rows(l.attn_out + first * d, d, n_rows, packed_output(l), d, products);
    add_to_residual(products, linears[OUTPUT].bias, dropout(l, ATTENTION_DROPOUT), l.x, first, n_rows, d, l.resid_mid);
    if (l.post) {
        layer_norm_rows(l, mid_norm(l), l.resid_mid, first, n_rows, l.ffn_resid);
        convert(l.ffn_resid + first * d, n_rows * d, l.ln2_out + first * d);
    } else layer_norm_rows(l, mid_norm(l), l.resid_mid, first, n_rows, l.ln2_out);
    gemm_rows(l.ln2_out + first * d, d, n_rows, packed_ffn_inner(l), f, products);
    const Dropout inner_dropout = dropout(l, INNER_DROPOUT);
    for (long r = 0; r < n_rows; ++r)
        for (long c = 0; c < f; c += LANES) {
            const long at = (first + r) * f + c;
            const Vec inner = load(products + r * f + c) + load(linears[FFN_INNER].bias + c);
            const ValueAndGrad activated = gelu<FAST_MATH>(inner);
            const Vec factors = inner_dropout.factors(at);
            store(l.activated + at, activated.value * factors);
            if (l.activation_grad) store(l.activation_grad + at, activated.grad * factors);
        }
    gemm_rows(l.activated + first * f, f, n_rows, packed_ffn_output(l), d, products);
    add_to_residual(products, linears[FFN_OUTPUT].bias, dropout(l, FFN_DROPOUT), l.ffn_resid, first, n_rows, d,
                    l.resid_out);
    if (l.post) layer_norm_rows(l, boundary_norm(l), l.resid_out, first, n_rows, l.out);
}

void forward(const Layer& l) {
    pack_weights_forward(l);
    draw_dropout_mask(l);
    parallel_rows(l, forward_qkv);
    for_each_head(l, [&](long first, long length, long head) {
        attention_forward(head_at(l, first, length, head),
                          l.attn_out + first * l.d_model + head * (l.d_model / l.n_heads), l.d_model,
                          l.lse ? l.lse + head * l.n_rows + first : nullptr);
    });
    parallel_rows(l, forward_after_attention);
}

}  // namespace vecformer

extern "C" EXPORTED void vecformer_layer(const vecformer::Layer* call) { vecformer::forward(*call); }
