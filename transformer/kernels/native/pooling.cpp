// Pooled features of transformer/models/heads.py: mean and maximum of a sequence's rows, and mean of its word vectors.
#include <cstring>
#include <limits>

#include "pooling.h"
#include "threads.h"

namespace vecformer {

using Indices = int32_t __attribute__((vector_size(4 * LANES)));

// Call body(sequence, first row, end, column) for LANES columns of a sequence at a time, sequences in parallel.
template <class Body>
void parallel_sequences(const Pooling& call, const Body& body) {
    parallel_for_dynamic(call.n_threads, call.n_seqs, [&](long sequence) {
        for (long c = 0; c < call.width; c += LANES)
            body(sequence, call.cu_seqlens[sequence], call.cu_seqlens[sequence + 1], c);
    });
}

void pool(const Pooling& call) {
    parallel_sequences(call, [&](long sequence, long first, long end, long c) {
        Vec sum = zero(), sum_embedded = zero(), maximum = set1(-std::numeric_limits<float>::infinity());
        Indices argmax = Indices{} + int(first);
        for (long row = first; row < end; ++row) {
            const Vec x = load(call.hidden + row * call.width + c);
            const auto greater = x > maximum;
            sum = sum + x;
            maximum = greater ? x : maximum;
            argmax = greater ? Indices{} + int(row) : argmax;
            sum_embedded = sum_embedded + load(call.embedded + row * call.width + c);
        }
        const Vec scale = set1(1 / float(end - first));
        float* pooled = call.pooled + sequence * 3 * call.width + c;
        store(pooled, sum * scale);
        store(pooled + call.width, maximum);
        store(pooled + 2 * call.width, sum_embedded * scale);
        std::memcpy(call.argmax + sequence * call.width + c, &argmax, sizeof argmax);
    });
}

void pool_backward(const Pooling& call) {
    parallel_sequences(call, [&](long sequence, long first, long end, long c) {
        const float* d_pooled = call.d_pooled + sequence * 3 * call.width + c;
        const Vec scale = set1(1 / float(end - first)), d_max = load(d_pooled + call.width);
        const Vec d_mean = load(d_pooled) * scale, d_embedded = load(d_pooled + 2 * call.width) * scale;
        Indices argmax;
        std::memcpy(&argmax, call.argmax + sequence * call.width + c, sizeof argmax);
        for (long row = first; row < end; ++row) {
            const auto is_max = argmax == int(row);
            store(call.d_hidden + row * call.width + c, is_max ? d_mean + d_max : d_mean);
            store(call.d_embedded + row * call.width + c, d_embedded);
        }
    });
}

}  // namespace vecformer

extern "C" {
EXPORTED void vecformer_pooling(const vecformer::Pooling* call) { vecformer::pool(*call); }
EXPORTED void vecformer_pooling_backward(const vecformer::Pooling* call) { vecformer::pool_backward(*call); }
}
