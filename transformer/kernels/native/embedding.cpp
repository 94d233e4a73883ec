// Positions and dropout of the embeddings.
#include "calls.h"
#include "elementwise.h"

namespace vecformer {

static void embed(const Embedding& call) {
    const long width = call.width;
    const Dropout dropout(call.dropout_mask, call.dropout_threshold);
    draw_dropout_bits(call.dropout_mask, call.n_rows * width, call.seed, call.dropout_threshold, call.n_threads);
    parallel_for_dynamic(call.n_threads, call.n_seqs, [&](long sequence) {
        const long first = call.cu_seqlens[sequence] * width, end = call.cu_seqlens[sequence + 1] * width;
        for (long at = first; at < end; at += LANES) {
            const Vec position = call.positions ? load(call.positions + at - first) : zero();
            store(call.x + at, (load(call.embedded + at) + position) * dropout.factors(at));
        }
    });
}

static void embed_backward(const Embedding& call) {
    const long n = call.n_rows * call.width / LANES;
    const Dropout dropout(call.dropout_mask, call.dropout_threshold);
    parallel_for(call.n_threads, [&](long thread) {
        for (long at = n * thread / call.n_threads * LANES; at < n * (thread + 1) / call.n_threads * LANES; at += LANES)
            store(call.d_embedded + at, load(call.dx + at) * dropout.factors(at));
    });
}

}  // namespace vecformer

extern "C" {
EXPORTED void vecformer_embedding(const vecformer::Embedding* call) { vecformer::embed(*call); }
EXPORTED void vecformer_embedding_backward(const vecformer::Embedding* call) { vecformer::embed_backward(*call); }
}
