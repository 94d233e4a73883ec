// A layer of which only the first token of each sequence is computed, forward and backward.
#include "first_token.h"

#include "layer.h"

namespace vecformer {

static float* head_row(const FirstToken& call, float* rows, long sequence, long head) {
    return rows + (sequence * call.layer.n_heads + head) * call.layer.d_model;
}

// First sequence of a thread. The division is static and balances the number of tokens.
static long first_sequence(const FirstToken& call, long thread) {
    const int64_t* cu_seqlens = call.layer.cu_seqlens;
    const int64_t* end = cu_seqlens + call.layer.n_seqs;
    return std::lower_bound(cu_seqlens, end, call.n_rows * thread / call.layer.n_threads) - cu_seqlens;
}

// Call body(thread, sequence, its first row, its length) for all sequences, in parallel.
template <class Body>
static void parallel_sequences(const FirstToken& call, const Body& body) {
    parallel_for(call.layer.n_threads, [&](long thread) {
        for (long sequence = first_sequence(call, thread); sequence < first_sequence(call, thread + 1); ++sequence) {
            const long first = call.layer.cu_seqlens[sequence];
            scratch.clear();
            body(thread, sequence, first, call.layer.cu_seqlens[sequence + 1] - first);
        }
    });
}

static void attention(const FirstToken& call, long sequence, long first, long length) {
    const Layer& l = call.layer;
    const long d = l.d_model;
    const Affine& norm = l.weights.norms[boundary_norm(l)];
    float* const y = call.ln1_out + first * d;
    for (long j = 0; j < length && !l.post; ++j)
        layer_norm(call.x + (first + j) * d, d, norm.weight, norm.bias, float(l.eps), call.norm_stats + 2 * (first + j),
                   y + j * d);
    std::copy_n(call.x + first * d, d, call.first_rows + sequence * d);
    float* out = scratch.alloc<float>(d);
    first_token_attention(l.weights.linears, d, l.n_heads, y, length,
                          {call.q + sequence * d, head_row(call, call.q_wk, sequence, 0),
                           head_row(call, call.context, sequence, 0), call.pattern + first, call.n_rows},
                          out);
    for (long c = 0; c < d; c += LANES) store(l.attn_out + sequence * d + c, load(out + c));
}

static void attention_backward(const FirstToken& call, const WeightGrads& grads, long sequence, long first,
                               long length) {
    const Layer& l = call.layer;
    const long d = l.d_model, d_head = d / l.n_heads;
    const Affine* linears = l.weights.linears;
    const float *const y = call.ln1_out + first * d, *const q = call.q + sequence * d;
    float* const dy = call.dx + first * d;
    float* d_out = scratch.alloc<float>(d);
    float* d_context = scratch.alloc<float>(d);
    float* d_q_wk = scratch.alloc<float>(d);
    float* dq = scratch.alloc<float>(d);
    float* d_pattern = scratch.alloc<float>(length);
    for (long c = 0; c < d; c += LANES) store(d_out + c, load(l.d_attn_out + sequence * d + c));
    axpy(1, d_out, d, grads.linears[VALUE].bias);
    std::fill_n(dy, length * d, 0.0f);
    for (long h = 0; h < l.n_heads; ++h) {
        const float* const q_wk = head_row(call, call.q_wk, sequence, h);
        const float* const context = head_row(call, call.context, sequence, h);
        const float* const pattern = call.pattern + h * call.n_rows + first;
        std::fill_n(d_context, d, 0.0f);
        std::fill_n(d_q_wk, d, 0.0f);
        for (long e = h * d_head; e < (h + 1) * d_head; ++e) {
            axpy(d_out[e], linears[VALUE].weight + e * d, d, d_context);
            axpy(d_out[e], context, d, grads.linears[VALUE].weight + e * d);
        }
        float mean = 0;
        for (long j = 0; j < length; ++j) {
            d_pattern[j] = dot(d_context, y + j * d, d);
            mean += pattern[j] * d_pattern[j];
        }
        for (long j = 0; j < length; ++j) {
            const float d_score = pattern[j] * (d_pattern[j] - mean);
            axpy(d_score, y + j * d, d, d_q_wk);
            axpy(pattern[j], d_context, d, dy + j * d);
            axpy(d_score, q_wk, d, dy + j * d);
        }
        for (long e = h * d_head; e < (h + 1) * d_head; ++e) {
            axpy(q[e], d_q_wk, d, grads.linears[KEY].weight + e * d);
            dq[e] = dot(linears[KEY].weight + e * d, d_q_wk, d);
        }
    }
    axpy(1, dq, d, grads.linears[QUERY].bias);
    for (long e = 0; e < d; ++e) {
        axpy(dq[e], y, d, grads.linears[QUERY].weight + e * d);
        axpy(dq[e] * query_scale(l), linears[QUERY].weight + e * d, d, dy);
    }
    const long norm = boundary_norm(l);
    for (long j = 0; j < length && !l.post; ++j)
        layer_norm_backward(dy + j * d, call.x + (first + j) * d, d, l.weights.norms[norm].weight,
                            call.norm_stats + 2 * (first + j), nullptr, dy + j * d, grads.norms[norm].weight,
                            grads.norms[norm].bias);
    axpy(1, l.dx + sequence * d, d, dy);
}

static void forward(const FirstToken& call) {
    pack_weights_forward(call.layer);
    draw_dropout_mask(call.layer);
    parallel_sequences(call, [&](long, long sequence, long first, long length) {
        attention(call, sequence, first, length);
    });
    parallel_rows(call.layer, forward_after_attention);
}

static void backward(const FirstToken& call) {
    pack_weights_backward(call.layer);
    zero_grads(call.layer);
    parallel_rows_with_grads(call.layer, backward_to_attention);
    parallel_sequences(call, [&](long thread, long sequence, long first, long length) {
        attention_backward(call, WeightGrads(call.layer, thread), sequence, first, length);
    });
    reduce_grads(call.layer);
}

}  // namespace vecformer

extern "C" {
EXPORTED void vecformer_first_token(const vecformer::FirstToken* call) { vecformer::forward(*call); }
EXPORTED void vecformer_first_token_backward(const vecformer::FirstToken* call) { vecformer::backward(*call); }
}
