// The way forward through a layer.
#include "layer.h"

namespace vecformer {

void pack_forward(const Layer& l) {
    const long d = l.d, n_panels = (5 * d + l.f) / LANES;
    parallel_items(l.n_threads, n_panels, [&](long item) {
        const long column = item * LANES, square = std::min(column / d, 4L);  // the first four are (d, d)
        const bool is_outer = column >= 4 * d + l.f;
        const Part& linear = l.linears[is_outer ? long(OUTER) : square];
        const long first = column - (is_outer ? 4 * d + l.f : square * d), n_terms = is_outer ? l.f : d;
        Unit* to = (is_outer ? l.outer_panels() + first * l.f / PER_UNIT : l.panels + column * d / PER_UNIT);
        pack_transposed(linear.weight, n_terms, first + LANES, n_terms, first, to, square == 0 ? l.scale() : 1.0f);
    });
}

void drop(const Layer& l) {
    if (!l.dropped) return;
    const long chunks = (l.n_rows * (2 * l.d + l.f) + 63) / 64;
    parallel(l.n_threads, [&](long part) {
        uint64_t* bits = reinterpret_cast<uint64_t*>(l.bits);
        for (long chunk = chunks * part / l.n_threads; chunk < chunks * (part + 1) / l.n_threads; ++chunk)
            bits[chunk] = kept_bits(l.seed, chunk, int(l.dropped));
    });
}

static void convert(const float* from, long n, Low* to) {
    if (static_cast<const void*>(from) == to) return;  // where both are floats, one array may do
    for (long i = 0; i < n; i += LANES) store(to + i, load(from + i));
}

// Asks: the norm before the branch, and queries, keys and values.
static void forward_before(const Layer& l, long first, long rows) {
    const long d = l.d;
    scratch.clear();
    float* found = scratch.take<float>(BLOCK * 3 * d);
    if (l.post) convert(l.x + first * d, rows * d, l.looking + first * d);
    else normalise_rows(l, l.outer_norm(), l.x, first, rows, l.looking);
    multiply_rows(l.looking + first * d, d, rows, l.panels, 3 * d, found);
    for (long r = 0; r < rows; ++r)
        for (long i = 0; i < 3; ++i)
            for (long c = 0; c < d; c += LANES) {
                V bias = load(l.linears[i].bias + c);
                if (i == 0) bias = bias * all(l.scale());
                store(l.asked + (first + r) * 3 * d + i * d + c, load(found + r * 3 * d + i * d + c) + bias);
            }
}

// What a branch adds to the path around it: (found + bias), dropped, + beside.
static void add_branch(const float* found, const float* bias, const Dropout& dropout, const float* beside, long first,
                       long rows, long d, float* to) {
    for (long r = 0; r < rows; ++r)
        for (long c = 0; c < d; c += LANES) {
            const long at = (first + r) * d + c;
            const V said = load(found + r * d + c) + load(bias + c);
            store(to + at, fma(said, dropout.factors(at), load(beside + at)));
        }
}

// The rest: the attention's output, the feed-forward, and the norms behind the first.
void forward_after(const Layer& l, long first, long rows) {
    const long d = l.d, f = l.f;
    scratch.clear();
    float* found = scratch.take<float>(BLOCK * std::max(d, f));
    multiply_rows(l.mixed + first * d, d, rows, l.out_panels(), d, found);
    add_branch(found, l.linears[OUTPUT].bias, l.dropout(0), l.x, first, rows, d, l.middle);
    if (l.post) {
        normalise_rows(l, l.inner_norm(), l.middle, first, rows, l.path);
        convert(l.path + first * d, rows * d, l.thinking + first * d);
    } else normalise_rows(l, l.inner_norm(), l.middle, first, rows, l.thinking);
    multiply_rows(l.thinking + first * d, d, rows, l.inner_panels(), f, found);
    const Dropout inside = l.dropout(1);
    for (long r = 0; r < rows; ++r)
        for (long c = 0; c < f; c += LANES) {
            const long at = (first + r) * f + c;
            const Bent bent = gelu<ROUGH>(load(found + r * f + c) + load(l.linears[INNER].bias + c));
            const V factors = inside.factors(at);
            store(l.bent + at, bent.value * factors);
            if (l.slope) store(l.slope + at, bent.slope * factors);
        }
    multiply_rows(l.bent + first * f, f, rows, l.outer_panels(), d, found);
    add_branch(found, l.linears[OUTER].bias, l.dropout(2), l.path, first, rows, d, l.sum);
    if (l.post) normalise_rows(l, l.outer_norm(), l.sum, first, rows, l.out);
}

static void forward(const Layer& l) {
    pack_forward(l);
    drop(l);
    share(l, forward_before);
    for_each_head(l, [&](long first, long length, long number) {
        attend(head_of(l, first, length, number), l.mixed + first * l.d + number * (l.d / l.n_heads), l.d,
               l.log_sums ? l.log_sums + number * l.n_rows + first : nullptr);
    });
    share(l, forward_after);
}

}  // namespace vecformer

extern "C" EXPORTED void vecformer_layer(const vecformer::Layer* layer) { vecformer::forward(*layer); }
