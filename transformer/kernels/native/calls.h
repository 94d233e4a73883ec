// Arguments of the exported functions. The ctypes classes of transformer/kernels/native/__init__.py have the same
// fields in the same order. After any change to either, increase ABI_VERSION in both.
//
// Shapes: N rows (the tokens of all sequences, without padding), B sequences, H heads, d = d_model, f = d_ff. float*
// points to float32. cu_seqlens, (B + 1), holds the first row of each sequence and N.
#pragma once
#include <cstdint>

#ifdef __AVX512BF16__
#include "gemm_bf16.h"
#else
#include "gemm_fp32.h"
#endif

namespace vecformer {

constexpr int64_t ABI_VERSION = 6;

// Weight and bias of a layer norm, (d) and (d), or of a linear map, (out, in) and (out).
struct Affine {
    const float *weight, *bias;
};

struct LayerWeights {
    Affine norms[2], linears[6];  // attention norm, feed-forward norm; linear maps in the order of weights.h
};

// A Transformer layer. In pre-norm layers ffn_resid is resid_mid, and resid_out is out.
//   pre-norm (post = 0):   resid_mid = x + attention(norm(x)), out = resid_mid + ffn(norm(resid_mid))
//   post-norm (post = 1):  resid_mid = x + attention(x), ffn_resid = norm(resid_mid),
//                          resid_out = ffn_resid + ffn(ffn_resid), out = norm(resid_out)
struct Layer {
    int64_t n_rows, n_seqs, d_model, d_ff, n_heads, n_threads;
    int64_t causal, post;       // post: post-norm layer
    int64_t dropout_threshold;  // dropout probability: dropout_threshold / 256
    uint64_t seed;              // of the dropout mask
    double eps;                 // of both norms
    const int64_t* cu_seqlens;  // (B + 1)
    LayerWeights weights;
    const float* x;                  // (N, d)
    float *resid_mid, *ffn_resid;    // (N, d): residual stream after attention
    float *resid_out, *out;          // (N, d): residual stream after the feed-forward block, and the layer's output
    float* norm_stats;               // (2, N, 2): mean and reciprocal standard deviation for each norm
    float* lse;                      // (H, N): base-2 log-sum-exp of the scores, log2(sum exp(score)); null: not stored
    Activation *ln1_out, *qkv;       // (N, d), (N, 3 d): input of the attention; queries (scaled), keys and values
    Activation *attn_out, *ln2_out;  // (N, d), (N, d): input of the output projection; input of the feed-forward block
    Activation *activated;           // (N, f): GELU, with dropout
    Activation *activation_grad;     // (N, f): derivative of `activated` with respect to GELU's input; null: not stored
    uint8_t* dropout_mask;           // N (2 d + f) bits, in whole 64-bit words
    Packed* packed_weights;          // 4 d d + 2 d f elements
    const float* dout;               // (N, d); from here on: gradients
    float* dx;                       // (N, d)
    Activation *d_attn_out, *d_qkv;  // (N, d), (N, 3 d)
    float* d_weights;                // (n_threads, all weights in order): one partial sum per thread, the total first
};

// A Transformer layer of which only the first token of each sequence is computed; that token attends to all others.
struct FirstToken {
    Layer layer;               // everything after the attention, for B rows
    int64_t n_rows;            // N
    const float* x;            // (N, d)
    float* ln1_out;            // (N, d): x after the attention norm; x itself in post-norm layers
    float* norm_stats;         // (N, 2): statistics of that norm
    float* first_rows;         // (B, d): x of the first tokens
    float *q, *q_wk;           // (B, d), scaled; (B, H, d): q W_K of each head
    float *pattern, *context;  // (H, N): attention weights; (B, H, d): averages of ln1_out weighted by them
    float* dx;                 // (N, d)
};

// Convolutions of several widths over neighbouring tokens, one residual branch: out = x + dropout(W_out gelu(filters of
// norm(x)) + bias). F: number of filters, h: half of the largest width. The rows of the branch are padded: between two
// sequences, before the first and after the last, there are h rows of zeros, M = N + (B + 1) h rows in all. A filter's
// window of w rows is then one row of a matrix whose rows, w d long, are only d apart.
struct Convolution {
    int64_t n_rows, n_seqs, d_model, n_filters, half, n_threads;
    int64_t dropout_threshold;  // dropout probability: dropout_threshold / 256
    uint64_t seed;              // of the dropout mask
    double eps;
    const int64_t *cu_seqlens, *widths;  // (B + 1); (F): odd
    Affine norm, output;                 // output: (d, F d)
    const Affine* filters;               // (F): weights (d, w, d), by output, tap and input
    const Affine* flipped;               // (F): weights (w, d, d), by tap from the last, output and input; backward
    const float* x;                      // (N, d)
    float* out;                          // (N, d)
    int64_t* padded;                     // (M): row of each padded row, -1 for zeros
    float* norm_stats;                   // (N, 2)
    Activation* normed;                  // (M, d)
    Activation* activated;               // (M, F d): GELU
    Activation* activation_grad;         // (M, F d): its derivative; null: not stored
    uint8_t* dropout_mask;               // N d bits, in whole 64-bit words
    Packed* packed_weights;              // (sum of w + F) d d elements
    const float* dout;                   // (N, d); from here on: gradients
    float* dx;                           // (N, d)
    Activation* d_filters;               // (F, M, d): of GELU's input
    float* d_weights;                    // (n_threads, norm, filters, output): one partial sum per thread, the total first
};

// The input of the first layer: x = dropout(embedded + the encoding of each token's position).
struct Embedding {
    int64_t n_rows, n_seqs, width, n_threads;  // width: a multiple of 16
    int64_t dropout_threshold;                 // dropout probability: dropout_threshold / 256
    uint64_t seed;                             // of the dropout mask
    const int64_t* cu_seqlens;                 // (B + 1)
    const float* embedded;                     // (N, width)
    const float* positions;                    // (longest sequence, width); null for none
    float* x;                                  // (N, width)
    uint8_t* dropout_mask;                     // N width bits, in whole 64-bit words
    const float* dx;                           // (N, width); from here on: gradients
    float* d_embedded;                         // (N, width)
};

// A whole encoder in int8.
struct Int8Call {
    int64_t n_seqs, d_model, d_ff, n_heads, n_layers, n_threads, post;  // post: post-norm layers
    double eps;                                                         // of all norms
    const int64_t* cu_seqlens;                                          // (B + 1)
    const LayerWeights* layers;                                         // (n_layers)
    const float* x;                     // (N, d): input of the first layer if there is no embedding
    const int64_t* token_ids;           // (N): rows of `embedding`
    const float* embedding;             // (vocabulary, d)
    const float* position_embedding;    // (longest sequence, d); null for none
    Affine embedding_norm, final_norm;  // before the first layer and after the last; weight is null for none
    float *out, *embedded;              // (N, d): output, and rows of `embedding`; null: not stored
    float* pooled;                      // (B, 3 d): mean and maximum of the output, mean of `embedded`; or null
    float* first_token;                 // (B, d): output of first tokens only, instead of the three above; or null
    int32_t* packed_weights;            // (n_layers, 4 d d + 2 d f) int8
    float* weight_scales;               // (n_layers, 2, 5 d + f): scale of each output channel, sum of its weights
};

// Mean and maximum over the rows of a sequence, and mean of its word vectors.
struct Pooling {
    int64_t n_seqs, width, n_threads;  // width: a multiple of 16
    const int64_t* cu_seqlens;         // (B + 1)
    const float *hidden, *embedded;    // (N, width)
    float* pooled;                     // (B, 3 width)
    int32_t* argmax;                   // (B, width): row of the maximum, the first one if there are several
    const float* d_pooled;             // (B, 3 width)
    float *d_hidden, *d_embedded;      // (N, width)
};

// The layers of an encoder, the norm after them, and the pooling of its output. `memory` holds what the backward pass
// reads, and is as large as vecformer_features_size says.
struct Features {
    Layer layer;                  // sizes, dropout, cu_seqlens, eps, x and dx of the first layer: the rest is set for each
    const LayerWeights* weights;  // (n_layers)
    const uint64_t* seeds;        // (n_layers): of the dropout masks
    int64_t n_layers;
    Affine norm;                  // weight: null for none
    const float* embedded;        // (N, d)
    float* pooled;                // (B, 3 d)
    char* memory;
    int64_t memory_size;          // output of vecformer_features_size: bytes
    const float* d_pooled;        // (B, 3 d); from here on: gradients
    float* d_embedded;            // (N, d)
    float* d_weights;             // for each layer (n_threads, its weights), then (n_threads, 2 d) for the norm; the
                                  // totals are those of the first thread
};

// An array, (size).
struct Span {
    int64_t size;
    float* data;
};

// Clipping of gradients to a norm (Pascanu et al. 2013, arXiv 1211.5063).
struct Clipping {
    int64_t n_grads, n_threads;
    const Span* grads;  // (n_grads), modified in place
    double max_norm;
    double norm;  // output: the norm of all gradients together, before
};

// A weight of which every element has a gradient.
struct DenseWeight {
    int64_t size;
    const float* grad;                               // (size)
    float *weight, *exp_avg, *exp_avg_sq, *average;  // (size); average: moving average of weight
    float* step;                                     // (1): number of AdamW steps before this one
    double lr, weight_decay;
};

// A step of AdamW for whole weights.
struct DenseAdamW {
    int64_t n_weights, n_threads;
    const DenseWeight* weights;  // (n_weights)
    double lr_factor;            // for the learning rates of all weights
    double beta1, beta2, eps, ema_decay;
};

// An update of some rows of an embedding table; transformer/training/sparse_adamw.py derives the formulas.
struct SparseAdamW {
    int64_t n_rows, width, n_threads;
    const int64_t* rows;                             // (n_rows): indices of rows of the table
    float *weight, *exp_avg, *exp_avg_sq, *average;  // (table rows, width); average: moving average of weight
    int64_t* last_step;                              // (table rows): step of a row's last update; -1 for none
    int64_t step;                                    // current step
    const float* grad;                               // (n_rows, width)
    double beta1, beta2, eps, lr;
    double ema_decay;  // of the average
    // For each step up to the current one, (step + 1): number of AdamW steps until then; G, H and P since then.
    const int64_t* adamw_steps;
    const double *displacement, *average_displacement, *average_decay;
};

}  // namespace vecformer
