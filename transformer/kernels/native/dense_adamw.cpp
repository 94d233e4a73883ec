// AdamW for whole weights, and clipping of gradients (Pascanu et al. 2013, arXiv 1211.5063): one pass over memory for all
// weights of a model together.
#include <cmath>
#include <vector>

#include "adamw.h"
#include "calls.h"
#include "threads.h"

namespace vecformer {

constexpr long CHUNK = 16384;  // largest number of elements that a thread takes at a time

struct Chunk {
    long array, begin, size;
};

// Cut arrays into chunks, which are the same with any number of threads.
template <class Array>
std::vector<Chunk> cut(const Array* arrays, long n_arrays) {
    std::vector<Chunk> chunks;
    for (long i = 0; i < n_arrays; ++i)
        for (long begin = 0; begin < arrays[i].size; begin += CHUNK)
            chunks.push_back({i, begin, std::min(CHUNK, long(arrays[i].size) - begin)});
    return chunks;
}

static float sum_of_squares(long n, const float* x) {
    Vec sum = zero();
    for (long i = 0; i < n; i += LANES) {
        const Vec each = load(x + i, mask_first(n - i));
        sum = fma(each, each, sum);
    }
    return reduce_add(sum);
}

static void scale(long n, float* x, float factor) {
    for (long i = 0; i < n; i += LANES) {
        const Mask mask = mask_first(n - i);
        store(x + i, mask, load(x + i, mask) * set1(factor));
    }
}

static void clip(Clipping& call) {
    const std::vector<Chunk> chunks = cut(call.grads, call.n_grads);
    auto data = [&](const Chunk& chunk) { return call.grads[chunk.array].data + chunk.begin; };
    std::vector<double> sums(chunks.size());
    parallel_for_dynamic(call.n_threads, long(chunks.size()), [&](long c) {
        sums[c] = sum_of_squares(chunks[c].size, data(chunks[c]));
    });
    double sum = 0;
    for (const double each : sums) sum += each;
    call.norm = std::sqrt(sum);
    const double factor = call.max_norm / (call.norm + 1e-6);
    if (factor < 1)
        parallel_for_dynamic(call.n_threads, long(chunks.size()), [&](long c) {
            scale(chunks[c].size, data(chunks[c]), float(factor));
        });
}

static void step(const DenseAdamW& call) {
    for (long i = 0; i < call.n_weights; ++i) *call.weights[i].step += 1;
    const std::vector<Chunk> chunks = cut(call.weights, call.n_weights);
    parallel_for_dynamic(call.n_threads, long(chunks.size()), [&](long c) {
        const DenseWeight& w = call.weights[chunks[c].array];
        const long at = chunks[c].begin;
        AdamW(call.beta1, call.beta2, call.eps, call.lr_factor * w.lr, w.weight_decay, *w.step, call.ema_decay)
            .update(chunks[c].size, w.grad + at, w.weight + at, w.exp_avg + at, w.exp_avg_sq + at, w.average + at);
    });
}

}  // namespace vecformer

extern "C" {
EXPORTED void vecformer_clip(vecformer::Clipping* call) { vecformer::clip(*call); }
EXPORTED void vecformer_dense_adamw_step(const vecformer::DenseAdamW* call) { vecformer::step(*call); }
}
