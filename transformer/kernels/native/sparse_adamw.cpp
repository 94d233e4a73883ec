// The rows of a word table at a step: what transformer/training/sparse_adamw.py says of AdamW and the average, in one go over a row.
#include <cmath>

#include "threads.h"
#include "simd.h"

namespace vecformer {

// As transformer/kernels/native/__init__.py fills it in.
struct Table {
    int64_t n_rows, width, n_threads;
    const int64_t* rows;                       // (n_rows): of the tables
    float *weight, *first, *second, *average;  // (rows of the tables, width)
    int64_t* met;                              // (rows of the tables): the step they are brought up to; -1 is never
    int64_t now;
    const float* grad;                                 // (n_rows, width)
    double beta1, beta2, eps, rate, correction, kept;  // lr / (1 - b1^t), 1 / sqrt(1 - b2^t); of the average
    const int64_t* moved;                              // (now + 1) each: what History keeps
    const double *way, *mean_way, *old;
};

// Calls work(i, row) for each given row; a row is one thread's, wherever it is named again.
template <class Work>
void for_each_row(const Table& t, const Work& work) {
    parallel(t.n_threads, [&](long part) {
        for (long i = 0; i < t.n_rows; ++i)
            if (t.rows[i] % t.n_threads == part) work(i, t.rows[i]);
    });
}

// Calls work(column, mask) for LANES columns at a time.
template <class Work>
void in_lanes(long width, const Work& work) {
    for (long c = 0; c < width; c += LANES) work(c, lanes(width - c));
}

static void step(const Table& t) {
    for_each_row(t, [&](long i, long row) {
        in_lanes(t.width, [&](long c, Mask mask) {
            const long at = row * t.width + c;
            const V g = load(t.grad + i * t.width + c, mask), w = load(t.weight + at, mask);
            V m = load(t.first + at, mask), v = load(t.second + at, mask);
            m = fma(all(float(1 - t.beta1)), g - m, m);
            v = fma(all(float(1 - t.beta2)), g * g, v * all(float(t.beta2)));
            const V spread = fma(sqrt(v), all(float(t.correction)), all(float(t.eps)));
            const V moved = w - m / spread * all(float(t.rate));
            const V average = load(t.average + at, mask);
            store(t.first + at, mask, m);
            store(t.second + at, mask, v);
            store(t.weight + at, mask, moved);
            store(t.average + at, mask, fma(all(float(1 - t.kept)), moved - average, average));
        });
        t.met[row] = t.now;
    });
}

static void catch_up(const Table& t) {
    const double log1 = std::log2(t.beta1), log2 = std::log2(t.beta2);
    for_each_row(t, [&](long, long row) {
        const int64_t since = t.met[row];
        if (since < 0 || since >= t.now) return;
        const double passed = double(t.moved[t.now] - t.moved[since]);
        const V shrink1 = all(float(std::exp2(passed * log1))), shrink2 = all(float(std::exp2(passed * log2)));
        const V eps = all(float(t.eps * std::sqrt(1 - std::exp2(double(t.moved[since]) * log2))));
        const V way = all(float(t.way[since])), mean_way = all(float(t.mean_way[since])),
                old = all(float(t.old[since]));
        in_lanes(t.width, [&](long c, Mask mask) {
            const long at = row * t.width + c;
            const V m = load(t.first + at, mask), v = load(t.second + at, mask), w = load(t.weight + at, mask);
            const V push = m / (sqrt(v) + eps);
            const V average = fma(old, load(t.average + at, mask) - w, w);
            store(t.average + at, mask, average - push * mean_way);
            store(t.weight + at, mask, w - push * way);
            store(t.first + at, mask, m * shrink1);
            store(t.second + at, mask, v * shrink2);
        });
        t.met[row] = t.now;
    });
}

}  // namespace vecformer

extern "C" {
EXPORTED void vecformer_table_step(const vecformer::Table* table) { vecformer::step(*table); }
EXPORTED void vecformer_table_catch_up(const vecformer::Table* table) { vecformer::catch_up(*table); }
}
