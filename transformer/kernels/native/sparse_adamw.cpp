// AdamW for some rows of a table, with a moving average of the weights. The formulas of the deferred updates are in
// transformer/training/sparse_adamw.py.
#include <cmath>

#include "adamw.h"
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

// One step of AdamW and of the average for the rows of the gradient.
static void step(const SparseAdamW& call) {
    const double t = double(call.adamw_steps[call.step]);
    const AdamW adamw(call.beta1, call.beta2, call.eps, call.lr, 0.0, t, call.ema_decay);
    parallel_rows(call, [&](long i, long row) {
        const long at = row * call.width;
        adamw.update(call.width, call.grad + i * call.width, call.weight + at, call.exp_avg + at, call.exp_avg_sq + at,
                     call.average + at);
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
        for (long c = 0; c < call.width; c += LANES) {
            const Mask mask = mask_first(call.width - c);
            const long at = row * call.width + c;
            const Vec m = load(call.exp_avg + at, mask), v = load(call.exp_avg_sq + at, mask);
            const Vec w = load(call.weight + at, mask);
            const Vec direction = m / (sqrt(v) + eps);
            const Vec average = fma(average_decay, load(call.average + at, mask) - w, w);
            store(call.average + at, mask, average - direction * average_displacement);
            store(call.weight + at, mask, w - direction * displacement);
            store(call.exp_avg + at, mask, m * decay1);
            store(call.exp_avg_sq + at, mask, v * decay2);
        }
        call.last_step[row] = call.step;
    });
}

}  // namespace vecformer

extern "C" {
EXPORTED void vecformer_sparse_adamw_step(const vecformer::SparseAdamW* call) { vecformer::step(*call); }
EXPORTED void vecformer_sparse_adamw_flush_rows(const vecformer::SparseAdamW* call) { vecformer::flush_rows(*call); }
}
