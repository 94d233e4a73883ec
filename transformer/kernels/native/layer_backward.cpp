// Backward pass of a layer: gradients of the input and of every weight.
#include "gradients.h"
#include "layer.h"

namespace vecformer {

// Pack W of every linear map; those of queries (scaled), keys and values are stacked along k.
void pack_weights_backward(const Layer& l) {
    const long d = l.d_model, f = l.d_ff, n_panels = (3 * d + f) / LANES;
    const Affine* linears = l.weights.linears;
    parallel_for_dynamic(l.n_threads, n_panels, [&](long item) {
        long column = item * LANES;
        if (column < d) {
            for (long i = 0; i < 3; ++i)
                pack_panel(linears[i].weight, d, d, column,
                           l.packed_weights + column * 3 * d / K_PACK + i * d / K_PACK * LANES,
                           i == QUERY ? query_scale(l) : 1.0f);
        } else if ((column -= d) < d)
            pack_panel(linears[OUTPUT].weight, d, d, column, packed_output(l) + column * d / K_PACK, 1);
        else if ((column -= d) < d)
            pack_panel(linears[FFN_INNER].weight, d, f, column, packed_ffn_inner(l) + column * f / K_PACK, 1);
        else
            column -= d,
                pack_panel(linears[FFN_OUTPUT].weight, f, d, column, packed_ffn_output(l) + column * d / K_PACK, 1);
    });
}

// y += x
static void add(const float* x, long n, float* y) {
    for (long i = 0; i < n; i += LANES) store(y + i, load(y + i) + load(x + i));
}

// Backward pass of one of the layer's norms for rows: l.dx = gradient with respect to x, plus d_residual unless it is
// null.
static void layer_norm_backward_rows(const Layer& l, const WeightGrads& grads, long norm, const float* dy,
                                     const float* x, const float* d_residual, long first, long n_rows) {
    for (long r = 0; r < n_rows; ++r) {
        const long row = (first + r) * l.d_model;
        layer_norm_backward(dy + r * l.d_model, x + row, l.d_model, l.weights.norms[norm].weight,
                            norm_stats(l, norm, first + r), d_residual ? d_residual + row : nullptr, l.dx + row,
                            grads.norms[norm].weight, grads.norms[norm].bias);
    }
}

void backward_to_attention(const Layer& l, const WeightGrads& grads, long first, long n_rows) {
    const long d = l.d_model, f = l.d_ff, max_rows = row_block() * BLOCKS_PER_GRAD;
    scratch.clear();
    Activation* d_ffn_out = scratch.alloc<Activation>(max_rows * d);    // of the feed-forward block's output
    Activation* d_ffn_inner = scratch.alloc<Activation>(max_rows * f);  // of GELU's input
    Activation* d_proj = scratch.alloc<Activation>(max_rows * d);       // of the output projection
    float* products = scratch.alloc<float>(row_block() * std::max(d, f));
    Packed* packed_dy = scratch.alloc<Packed>(packed_length(max_rows) * std::max(d, f));
    Packed* packed_x = scratch.alloc<Packed>(packed_length(max_rows) * std::max(d, f));
    for_each_block(0, n_rows, row_block(), [&](long from, long n) {
        const long at = first + from;
        if (l.post) layer_norm_backward_rows(l, grads, boundary_norm(l), l.dout + at * d, l.resid_out, nullptr, at, n);
        const float* d_resid_out = l.post ? l.dx : l.dout;
        dropout_backward(d_resid_out + at * d, dropout(l, FFN_DROPOUT), at * d, n * d, d_ffn_out + from * d);
        gemm_rows(d_ffn_out + from * d, d, n, packed_ffn_output(l), f, products);
        for (long c = 0; c < n * f; c += LANES)
            store(d_ffn_inner + from * f + c, load(products + c) * load(l.activation_grad + at * f + c));
        gemm_rows(d_ffn_inner + from * f, f, n, packed_ffn_inner(l), d, products);
        if (l.post) add(l.dx + at * d, n * d, products);
        layer_norm_backward_rows(l, grads, mid_norm(l), products, l.resid_mid, l.post ? nullptr : l.dout, at, n);
        dropout_backward(l.dx + at * d, dropout(l, ATTENTION_DROPOUT), at * d, n * d, d_proj + from * d);
        gemm_rows(d_proj + from * d, d, n, packed_output(l), d, products);
        for (long c = 0; c < n * d; c += LANES) store(l.d_attn_out + at * d + c, load(products + c));
    });
    accumulate_linear_grads(grads.linears[FFN_OUTPUT], {d_ffn_out, d, d}, {l.activated + first * f, f, f}, n_rows,
                            packed_dy, packed_x);
    accumulate_linear_grads(grads.linears[FFN_INNER], {d_ffn_inner, f, f}, {l.ln2_out + first * d, d, d}, n_rows,
                            packed_dy, packed_x);
    accumulate_linear_grads(grads.linears[OUTPUT], {d_proj, d, d}, {l.attn_out + first * d, d, d}, n_rows, packed_dy,
                            packed_x);
}

// From d_qkv to dx.
static void backward_qkv(const Layer& l, const WeightGrads& grads, long first, long n_rows) {
    const long d = l.d_model, max_rows = row_block() * BLOCKS_PER_GRAD;
    scratch.clear();
    float* products = scratch.alloc<float>(row_block() * d);
    Packed* packed_dy = scratch.alloc<Packed>(packed_length(max_rows) * d);
    Packed* packed_x = scratch.alloc<Packed>(packed_length(max_rows) * d);
    for_each_block(first, first + n_rows, row_block(), [&](long at, long n) {
        gemm_rows(l.d_qkv + at * 3 * d, 3 * d, n, l.packed_weights, d, products);
        if (l.post) add(products, n * d, l.dx + at * d);
        else layer_norm_backward_rows(l, grads, boundary_norm(l), products, l.x, l.dx, at, n);
    });
    for (long i = 0; i < 3; ++i)
        accumulate_linear_grads(grads.linears[i], {l.d_qkv + first * 3 * d + i * d, d, 3 * d},
                                {l.ln1_out + first * d, d, d}, n_rows, packed_dy, packed_x);
}

void zero_grads(const Layer& l) {
    parallel_for(l.n_threads, [&](long thread) {
        const WeightGrads grads(l, thread);
        std::fill_n(grads.begin, grads.size, 0.0f);
    });
}

// Sum the gradients of all threads into those of the first one, and apply the scale of the queries.
void reduce_grads(const Layer& l) {
    const WeightGrads total(l, 0);
    const long first_query = total.linears[QUERY].weight - total.begin, first_key = total.linears[KEY].weight - total.begin;
    const bool is_sum = l.n_threads > 1;  // otherwise only the gradients of the queries change
    const long first = is_sum ? 0 : first_query, vectors = (is_sum ? total.size : first_key - first_query) / LANES;
    parallel_for(l.n_threads, [&](long thread) {
        for (long i = first + vectors * thread / l.n_threads * LANES;
             i < first + vectors * (thread + 1) / l.n_threads * LANES; i += LANES) {
            Vec sum = load(total.begin + i);
            for (long other = 1; other < l.n_threads; ++other) sum = sum + load(total.begin + other * total.size + i);
            const bool is_query = i >= first_query && i < first_key;
            store(total.begin + i, is_query ? sum * set1(query_scale(l)) : sum);
        }
    });
}

void backward(const Layer& l) {
    pack_weights_backward(l);
    zero_grads(l);
    parallel_rows_with_grads(l, backward_to_attention);
    for_each_head(l, [&](long first, long length, long head) {
        const long d = l.d_model, column = head * (d / l.n_heads);
        Activation* dq = l.d_qkv + first * 3 * d + column;
        attention_backward(head_at(l, first, length, head), l.attn_out + first * d + column,
                           l.d_attn_out + first * d + column, d, l.lse + head * l.n_rows + first, dq, dq + d,
                           dq + 2 * d);
    });
    parallel_rows_with_grads(l, backward_qkv);
    reduce_grads(l);
}

}  // namespace vecformer

extern "C" EXPORTED void vecformer_layer_backward(const vecformer::Layer* call) { vecformer::backward(*call); }
