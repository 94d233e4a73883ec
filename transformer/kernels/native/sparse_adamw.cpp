// Row-wise AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) with a moving average of the weights. The formulas are in
// transformer/training/sparse_adamw.py.
#include <cmath>

#include "calls.h"
#include "threads.h"

namespace vecformer {

// Call body(i, row) for each given row. A row always belongs to the same thread, so duplicates are safe.
template <class Body>
void parallel_rows(const SparseAdamW& call, const Body& body) {
    parallel_for(call.n_threads, [&](long thread) {
        for (long i = 0; i < call.n_rows; ++i)
            if (call.rows[i] % call.n_threads == thread) body(i, call.rows[i]);
    });
}

// Call body(column, mask) for LANES columns at a time.
template <class Body>
void for_each_vector(long width, const Body& body) {
    for (long c = 0; c < width; c += LANES) body(c, mask_first(width - c));
}

// One step of AdamW and of the average for the rows of the gradient.
static void step(const SparseAdamW& call) {
    parallel_rows(call, [&](long i, long row) {
        for_each_vector(call.width, [&](long c, Mask mask) {
            const long at = row * call.width + c;
            const Vec g = load(call.grad + i * call.width + c, mask), w = load(call.weight + at, mask);
            Vec m = load(call.exp_avg + at, mask), v = load(call.exp_avg_sq + at, mask);
            m = fma(set1(float(1 - call.beta1)), g - m, m);
            v = fma(set1(float(1 - call.beta2)), g * g, v * set1(float(call.beta2)));
            const Vec denom = fma(sqrt(v), set1(float(call.inv_sqrt_bias_correction2)), set1(float(call.eps)));
            const Vec updated = w - m / denom * set1(float(call.step_size));
            const Vec average = load(call.average + at, mask);
            store(call.exp_avg + at, mask, m);
            store(call.exp_avg_sq + at, mask, v);
            store(call.weight + at, mask, updated);
            store(call.average + at, mask, fma(set1(float(1 - call.ema_decay)), updated - average, average));
        });
        call.last_step[row] = call.step;
    });
}

// Apply the updates that dense AdamW would have made to the rows since their last step.
static void flush_rows(const SparseAdamW& call) {
    const double log_beta1 = std::log2(call.beta1), log_beta2 = std::log2(call.beta2);
    parallel_rows(call, [&](long, long row) {
        const int64_t last = call.last_step[row];
        if (last < 0 || last >= call.step) return;
        const double n_steps = double(call.adamw_steps[call.step] - call.adamw_steps[last]);
        const Vec decay1 = set1(float(std::exp2(n_steps * log_beta1)));
        const Vec decay2 = set1(float(std::exp2(n_steps * log_beta2)));
        const double bias_correction2 = 1 - std::exp2(double(call.adamw_steps[last]) * log_beta2);
        const Vec eps = set1(float(call.eps * std::sqrt(bias_correction2)));
        const Vec displacement = set1(float(call.displacement[last]));
        const Vec average_displacement = set1(float(call.average_displacement[last]));
        const Vec average_decay = set1(float(call.average_decay[last]));
        for_each_vector(call.width, [&](long c, Mask mask) {
            const long at = row * call.width + c;
            const Vec m = load(call.exp_avg + at, mask), v = load(call.exp_avg_sq + at, mask);
            const Vec w = load(call.weight + at, mask);
            const Vec direction = m / (sqrt(v) + eps);
            const Vec average = fma(average_decay, load(call.average + at, mask) - w, w);
            store(call.average + at, mask, average - direction * average_displacement);
            store(call.weight + at, mask, w - direction * displacement);
            store(call.exp_avg + at, mask, m * decay1);
            store(call.exp_avg_sq + at, mask, v * decay2);
        });
        call.last_step[row] = call.step;
    });
}

}  // namespace vecformer

extern "C" {
EXPORTED void vecformer_sparse_adamw_step(const vecformer::SparseAdamW* call) { vecformer::step(*call); }
EXPORTED void vecformer_sparse_adamw_flush_rows(const vecformer::SparseAdamW* call) { vecformer::flush_rows(*call); }
}
