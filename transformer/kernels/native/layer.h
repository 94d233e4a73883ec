// A Transformer layer with GELU, pre-norm or post-norm: the computation of transformer/layers/transformer_layer.py in
// three parallel passes forward and three backward. Rows are divided between the threads, and so are the heads of all
// sequences.
#pragma once
#include "attention.h"
#include "elementwise.h"
#include "threads.h"
#include "weights.h"

namespace vecformer {

constexpr long BLOCKS_PER_GRAD = 5;  // row blocks whose weight gradients are accumulated by one product

// Rows of a block. Matrix units, which are faster than the weights arrive, reuse them for more rows.
inline long row_block() { return use_matrix_units ? 2 * ROW_BLOCK : ROW_BLOCK; }

// Index of the norm that is applied to resid_mid, and of the other one (of x, or of resid_out in post-norm layers).
inline long mid_norm(const Layer& l) { return l.post ? 0 : 1; }
inline long boundary_norm(const Layer& l) { return l.post ? 1 : 0; }

inline float* norm_stats(const Layer& l, long norm, long row) { return l.norm_stats + 2 * (norm * l.n_rows + row); }
inline float query_scale(const Layer& l) { return 1 / std::sqrt(float(l.d_model / l.n_heads)); }

// Where dropout is applied; the mask has the bits of the three places one after another.
enum { ATTENTION_DROPOUT, INNER_DROPOUT, FFN_DROPOUT };
inline Dropout dropout(const Layer& l, long place) {
    const long offsets[] = {0, l.n_rows * l.d_model, l.n_rows * (l.d_model + l.d_ff)};
    return {l.dropout_mask + offsets[place] / 8, l.dropout_threshold};
}

// Packed weights: queries, keys and values together, then the output projection, then the feed-forward block.
inline Packed* packed_output(const Layer& l) { return l.packed_weights + 3 * l.d_model * l.d_model / K_PACK; }
inline Packed* packed_ffn_inner(const Layer& l) { return l.packed_weights + 4 * l.d_model * l.d_model / K_PACK; }
inline Packed* packed_ffn_output(const Layer& l) { return packed_ffn_inner(l) + l.d_model * l.d_ff / K_PACK; }

// First row of a thread: whole tiles, divided statically, so that sums do not depend on timing.
inline long first_row(long n_rows, long n_threads, long thread) {
    const long tiles = (n_rows + TILE_MR - 1) / TILE_MR;
    return std::min(n_rows, tiles * thread / n_threads * TILE_MR);
}
inline long first_row(const Layer& l, long thread) { return first_row(l.n_rows, l.n_threads, thread); }

// Apply one of the layer's norms to rows of x.
template <class T>
void layer_norm_rows(const Layer& l, long norm, const float* x, long first, long n_rows, T* y) {
    const Affine& affine = l.weights.norms[norm];
    for (long r = first; r < first + n_rows; ++r)
        layer_norm(x + r * l.d_model, l.d_model, affine.weight, affine.bias, float(l.eps), norm_stats(l, norm, r),
                   y + r * l.d_model);
}

// C = A B for a block of rows. A: (n_rows, k); B: (k, n_columns), packed.
inline void gemm_rows(const Activation* a, long k, long n_rows, const Packed* b, long n_columns, float* c) {
    const long packed_k = k / K_PACK;
    gemm(a, packed_k, n_rows, b, packed_k * LANES, packed_k, n_columns, c, n_columns);
}

// Call body(layer, first, n) for blocks of all rows, in parallel.
template <class Body>
void parallel_rows(const Layer& l, const Body& body) {
    parallel_for(l.n_threads, [&](long thread) {
        for_each_block(first_row(l, thread), first_row(l, thread + 1), row_block(),
                       [&](long first, long n) { body(l, first, n); });
    });
}

// Pointers into d_weights: the gradients that one thread accumulates.
struct WeightGrads {
    struct {
        float *weight, *bias;
    } norms[2], linears[6];
    float* begin;
    long size;

    WeightGrads(const Layer& l, long thread) {
        const long d = l.d_model, f = l.d_ff;
        size = 4 * d * d + 2 * d * f + 9 * d + f;
        float* at = begin = l.d_weights + thread * size;
        for (auto& norm : norms) norm = {at, at + d}, at += 2 * d;
        for (long i = 0; i < 6; ++i) {
            const long n_weights = d * (i < FFN_INNER ? d : f);
            linears[i] = {at, at + n_weights}, at += n_weights + (i == FFN_INNER ? f : d);
        }
    }
};

// Like parallel_rows, with larger blocks: body(layer, gradients of the thread, first, n).
template <class Body>
void parallel_rows_with_grads(const Layer& l, const Body& body) {
    parallel_for(l.n_threads, [&](long thread) {
        for_each_block(first_row(l, thread), first_row(l, thread + 1), row_block() * BLOCKS_PER_GRAD,
                       [&, grads = WeightGrads(l, thread)](long first, long n) { body(l, grads, first, n); });
    });
}

// The whole layer.
void forward(const Layer& l);
void backward(const Layer& l);

// Forward steps, shared with the first-token layer. The last one computes everything after the attention.
void pack_weights_forward(const Layer& l);
void draw_dropout_mask(const Layer& l);
void forward_after_attention(const Layer& l, long first, long n_rows);

// Backward steps, likewise. The third one computes d_attn_out from dout; the last one sums the threads' gradients.
void pack_weights_backward(const Layer& l);
void zero_grads(const Layer& l);
void backward_to_attention(const Layer& l, const WeightGrads& grads, long first, long n_rows);
void reduce_grads(const Layer& l);

// Call body(first row, length, head) for every head of every sequence, in parallel.
template <class Body>
void for_each_head(const Layer& l, const Body& body) {
    parallel_for_dynamic(l.n_threads, l.n_seqs * l.n_heads, [&](long item) {
        const long sequence = item / l.n_heads, first = l.cu_seqlens[sequence];
        body(first, l.cu_seqlens[sequence + 1] - first, item % l.n_heads);
    });
}

inline Head head_at(const Layer& l, long first, long length, long head) {
    const long d_head = l.d_model / l.n_heads;
    const Activation* q = l.qkv + first * 3 * l.d_model + head * d_head;
    return {q, q + l.d_model, q + 2 * l.d_model, 3 * l.d_model, length, d_head, l.causal != 0};
}

}  // namespace vecformer
