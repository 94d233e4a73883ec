// A whole layer of a Transformer that bends by GELU, its norms before the branches or behind the sums: what
// transformer/layers/transformer_layer.py computes by torch, in three sweeps forward and three backward. Rows are shared out between the
// threads; so are texts and heads.
#pragma once
#include "attention.h"
#include "weights.h"
#include "elementwise.h"
#include "threads.h"

namespace vecformer {

constexpr long BLOCKS = 5;  // of them, whose share of the weights' gradients is summed up at once

// As transformer/kernels/native/__init__.py fills it in; N rows, width d, inner width f.
struct Layer {
    int64_t n_rows, n_texts, d, f, n_heads, n_threads;
    int64_t causal, post, dropped;  // post: norms behind the sums; dropped: of 256 activations
    uint64_t seed;
    double eps;
    const int64_t* starts;                    // (n_texts + 1): the first row of each text
    Part norms[2], linears[6];                // the latter in the order above
    const float* x;                           // (N, d)
    float *middle, *path;                     // (N, d): behind the attention, summed and, if post, normalised
    float *sum, *out;                         // (N, d): behind the feed-forward, likewise
    float* moments;                           // (2, N, 2): of each norm
    float* log_sums;                          // (n_heads, N)
    Low *looking, *asked, *mixed, *thinking;  // (N, d), (N, 3 d), (N, d), (N, d)
    Low *bent, *slope;                        // (N, f); slope: of bent by what was bent
    uint8_t* bits;                            // (N, 2 d + f) bits, in 64s
    Unit* panels;                             // (4 d d + 2 d f) numbers: the weights
    const float* grad;                        // (N, d)
    float* of_x;                              // (N, d)
    Low *of_mixed, *of_asked;                 // (N, d), (N, 3 d)
    float* grads;                             // (n_threads, all weights): of a thread's rows; in the end, of all

    // The norm of `middle`, and the other one: of x, or of `sum`.
    long inner_norm() const { return post ? 0 : 1; }
    long outer_norm() const { return post ? 1 : 0; }
    float* moments_of(long norm, long row) const { return moments + 2 * (norm * n_rows + row); }
    float scale() const { return 1 / std::sqrt(float(d / n_heads)); }
    Dropout dropout(long region) const {  // 0 and 2: behind the branches; 1: inside the feed-forward
        const long before[] = {0, n_rows * d, n_rows * (d + f)};
        return {dropped ? bits + before[region] / 8 : nullptr, 256.0f / float(256 - dropped)};
    }
    Unit* out_panels() const { return panels + 3 * d * d / PER_UNIT; }
    Unit* inner_panels() const { return panels + 4 * d * d / PER_UNIT; }
    Unit* outer_panels() const { return inner_panels() + d * f / PER_UNIT; }
    long first_row(long part) const {  // whole tiles, the same ones however fast a thread is
        const long tiles = (n_rows + TALL - 1) / TALL;
        return std::min(n_rows, tiles * part / n_threads * TALL);
    }
};

// Rows through one of the layer's norms.
template <class T>
void normalise_rows(const Layer& l, long norm, const float* x, long first, long rows, T* to) {
    for (long r = first; r < first + rows; ++r)
        normalise(x + r * l.d, l.d, l.norms[norm].weight, l.norms[norm].bias, float(l.eps), l.moments_of(norm, r),
                  to + r * l.d);
}

// C = A B for rows of a block, with all of B's panels.
inline void multiply_rows(const Low* a, long n_terms, long rows, const Unit* panels, long n_columns, float* c) {
    const long units = n_terms / PER_UNIT;
    multiply(a, units, rows, panels, units * LANES, units, n_columns, c, n_columns);
}

// Calls work(layer, first, n) for blocks of all rows, side by side.
template <class Work>
void share(const Layer& l, const Work& work) {
    parallel(l.n_threads, [&](long part) {
        in_blocks(l.first_row(part), l.first_row(part + 1), BLOCK, [&](long first, long n) { work(l, first, n); });
    });
}

// Where one thread sums up the gradients of weights and biases, in the order of Layer's.
struct Sums {
    struct {
        float *weight, *bias;
    } norms[2], linears[6];
    float* first;
    long size;

    Sums(const Layer& l, long part) {
        const long d = l.d, f = l.f;
        size = 4 * d * d + 2 * d * f + 9 * d + f;
        float* at = first = l.grads + part * size;
        for (auto& norm : norms) norm = {at, at + d}, at += 2 * d;
        for (long i = 0; i < 6; ++i) {
            const long n_weights = d * (i < INNER ? d : f);
            linears[i] = {at, at + n_weights}, at += n_weights + (i == INNER ? f : d);
        }
    }
};

// As share, with larger blocks: work(layer, the thread's sums, first, n).
template <class Work>
void share_sums(const Layer& l, const Work& work) {
    parallel(l.n_threads, [&](long part) {
        in_blocks(l.first_row(part), l.first_row(part + 1), BLOCK * BLOCKS,
                  [&, sums = Sums(l, part)](long first, long n) { work(l, sums, first, n); });
    });
}

// The steps of both ways that a layer of first words alone goes, too. Forward: weights as right factors; what is
// dropped; all that comes behind the attention.
void pack_forward(const Layer& l);
void drop(const Layer& l);
void forward_after(const Layer& l, long first, long rows);
// Backward: weights as right factors; sums of nothing; back to `of_mixed`; and all sums into the first thread's.
void pack_backward(const Layer& l);
void forget(const Layer& l);
void backward_after(const Layer& l, const Sums& sums, long first, long rows);
void add_up(const Layer& l);

// Calls work(text's first row, length, head) for every head of every text, side by side.
template <class Work>
void for_each_head(const Layer& l, const Work& work) {
    parallel_items(l.n_threads, l.n_texts * l.n_heads, [&](long item) {
        const long text = item / l.n_heads, first = l.starts[text];
        work(first, l.starts[text + 1] - first, item % l.n_heads);
    });
}

inline Head head_of(const Layer& l, long first, long length, long number) {
    const Low* q = l.asked + first * 3 * l.d + number * (l.d / l.n_heads);
    return {q, q + l.d, q + 2 * l.d, 3 * l.d, length, l.d / l.n_heads, l.causal != 0};
}

}  // namespace vecformer
