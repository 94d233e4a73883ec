// What transformer/models/heads.py pools of a text: mean and maximum of its rows, and mean of its word vectors.
#include <algorithm>
#include <cstring>
#include <limits>

#include "threads.h"
#include "simd.h"

namespace vecformer {

// As transformer/kernels/native/__init__.py fills it in; width is a multiple of 16.
struct Views {
    int64_t n_texts, width, n_threads;
    const int64_t* starts;           // (n_texts + 1): the first row of each text
    const float *hidden, *embedded;  // (n_rows, width)
    float* pooled;                   // (n_texts, 3 width)
    int32_t* highest;                // (n_texts, width): the row that has the maximum, the first of those
    const float* grad;               // (n_texts, 3 width)
    float *of_hidden, *of_embedded;  // (n_rows, width)
};

using Rows = int32_t __attribute__((vector_size(4 * LANES)));  // their numbers

template <class Work>
void for_each_text(const Views& v, const Work& work) {
    parallel_items(v.n_threads, v.n_texts, [&](long text) {
        for (long c = 0; c < v.width; c += LANES) work(text, v.starts[text], v.starts[text + 1], c);
    });
}

static void pool(const Views& v) {
    for_each_text(v, [&](long text, long first, long end, long c) {
        V sum = zeros(), sum_embedded = zeros(), most = all(-std::numeric_limits<float>::infinity());
        Rows highest = Rows{} + int(first);
        for (long row = first; row < end; ++row) {
            const V x = load(v.hidden + row * v.width + c);
            const auto higher = x > most;
            sum = sum + x;
            most = higher ? x : most;
            highest = higher ? Rows{} + int(row) : highest;
            sum_embedded = sum_embedded + load(v.embedded + row * v.width + c);
        }
        const V share = all(1 / float(end - first));
        float* to = v.pooled + text * 3 * v.width + c;
        store(to, sum * share);
        store(to + v.width, most);
        store(to + 2 * v.width, sum_embedded * share);
        std::memcpy(v.highest + text * v.width + c, &highest, sizeof highest);
    });
}

static void pool_backward(const Views& v) {
    for_each_text(v, [&](long text, long first, long end, long c) {
        const float* grad = v.grad + text * 3 * v.width + c;
        const V share = all(1 / float(end - first)), of_most = load(grad + v.width);
        const V of_mean = load(grad) * share, of_embedded = load(grad + 2 * v.width) * share;
        Rows highest;
        std::memcpy(&highest, v.highest + text * v.width + c, sizeof highest);
        for (long row = first; row < end; ++row) {
            const auto here = highest == int(row);
            store(v.of_hidden + row * v.width + c, here ? of_mean + of_most : of_mean);
            store(v.of_embedded + row * v.width + c, of_embedded);
        }
    });
}

}  // namespace vecformer

extern "C" {
EXPORTED void vecformer_views(const vecformer::Views* views) { vecformer::pool(*views); }
EXPORTED void vecformer_views_backward(const vecformer::Views* views) { vecformer::pool_backward(*views); }
}
