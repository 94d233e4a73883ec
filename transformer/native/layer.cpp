// A whole layer of a Transformer, norms before the branches, GELU: what transformer/fused.py computes by torch, in
// three sweeps forward and three backward. Rows are shared out between the threads; so are texts and heads.
#include "attention.h"
#include "parts.h"
#include "product.h"
#include "rows.h"
#include "threads.h"

namespace vecformer {

constexpr long BLOCKS = 5;  // of them, whose share of the weights' gradients is summed up at once

// As transformer/native/__init__.py fills it in; N rows, width d, inner width f.
struct Layer {
    int64_t n_rows, n_texts, d, f, n_heads, n_threads, causal, dropped;  // dropped: of 256 activations
    uint64_t seed;
    double eps;
    const int64_t* starts;                    // (n_texts + 1): the first row of each text
    Part norms[2], linears[6];                // the latter in the order above
    const float* x;                           // (N, d)
    float *middle, *out;                      // (N, d)
    float* moments;                           // (2, N, 2)
    float* log_sums;                          // (n_heads, N)
    Low *looking, *asked, *mixed, *thinking;  // (N, d), (N, 3 d), (N, d), (N, d)
    Low *bent, *slope;                        // (N, f); slope: of bent by what was bent
    uint8_t* bits;                            // (N, 2 d + f) bits, in 64s
    Unit* panels;                             // (4 d d + 2 d f) numbers: the weights
    const float* grad;                        // (N, d)
    float* of_x;                              // (N, d)
    Low *of_mixed, *of_asked;                 // (N, d), (N, 3 d)
    float* grads;                             // (n_threads, all weights): of a thread's rows; in the end, of all

    float scale() const { return 1 / std::sqrt(float(d / n_heads)); }
    Dropout dropout(long region) const {  // 0 and 2: behind the branches; 1: inside the feed-forward
        const long before[] = {0, n_rows * d, n_rows * (d + f)};
        return {dropped ? bits + before[region] / 8 : nullptr, 256.0f / float(256 - dropped)};
    }
    Unit* out_panels() const { return panels + 3 * d * d / PER_UNIT; }
    Unit* inner_panels() const { return panels + 4 * d * d / PER_UNIT; }
    Unit* outer_panels() const { return inner_panels() + d * f / PER_UNIT; }
    long first_row(long part) const {  // whole tiles, the same ones however fast a thread is
        const long tiles = (n_rows + TALL - 1) / TALL;
        return std::min(n_rows, tiles * part / n_threads * TALL);
    }
};

// C = A B for rows of a block, with all of B's panels.
static void multiply_rows(const Low* a, long n_terms, long rows, const Unit* panels, long n_columns, float* c) {
    const long units = n_terms / PER_UNIT;
    multiply(a, units, rows, panels, units * LANES, units, n_columns, c, n_columns);
}

static void pack_forward(const Layer& l) {
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

static void pack_backward(const Layer& l) {
    const long d = l.d, f = l.f;
    const long n_panels = (3 * d + f) / LANES;  // those of the three askers, one above the other, count as one
    parallel_items(l.n_threads, n_panels, [&](long item) {
        long column = item * LANES;
        if (column < d) {
            for (long i = 0; i < 3; ++i)
                pack(l.linears[i].weight, d, d, column, l.panels + column * 3 * d / PER_UNIT + i * d / PER_UNIT * LANES,
                     i ? 1.0f : l.scale());
        } else if ((column -= d) < d)
            pack(l.linears[OUTPUT].weight, d, d, column, l.out_panels() + column * d / PER_UNIT, 1);
        else if ((column -= d) < d)
            pack(l.linears[INNER].weight, d, f, column, l.inner_panels() + column * f / PER_UNIT, 1);
        else column -= d, pack(l.linears[OUTER].weight, f, d, column, l.outer_panels() + column * d / PER_UNIT, 1);
    });
}

static void drop(const Layer& l) {
    if (!l.dropped) return;
    const long chunks = (l.n_rows * (2 * l.d + l.f) + 63) / 64;
    parallel(l.n_threads, [&](long part) {
        uint64_t* bits = reinterpret_cast<uint64_t*>(l.bits);
        for (long chunk = chunks * part / l.n_threads; chunk < chunks * (part + 1) / l.n_threads; ++chunk)
            bits[chunk] = kept_bits(l.seed, chunk, int(l.dropped));
    });
}

// Asks: the first norm, and queries, keys and values.
static void forward_before(const Layer& l, long first, long rows) {
    const long d = l.d;
    scratch.clear();
    float* found = scratch.take<float>(BLOCK * 3 * d);
    for (long r = first; r < first + rows; ++r)
        normalise(l.x + r * d, d, l.norms[0].weight, l.norms[0].bias, float(l.eps), l.moments + 2 * r,
                  l.looking + r * d);
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

// The rest: the attention's output, the second norm, and the feed-forward.
static void forward_after(const Layer& l, long first, long rows) {
    const long d = l.d, f = l.f;
    scratch.clear();
    float* found = scratch.take<float>(BLOCK * std::max(d, f));
    multiply_rows(l.mixed + first * d, d, rows, l.out_panels(), d, found);
    add_branch(found, l.linears[OUTPUT].bias, l.dropout(0), l.x, first, rows, d, l.middle);
    for (long r = first; r < first + rows; ++r)
        normalise(l.middle + r * d, d, l.norms[1].weight, l.norms[1].bias, float(l.eps), l.moments + 2 * (l.n_rows + r),
                  l.thinking + r * d);
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
    add_branch(found, l.linears[OUTER].bias, l.dropout(2), l.middle, first, rows, d, l.out);
}

// Calls work(text's first row, length, head) for every head of every text, side by side.
template <class Work>
static void for_each_head(const Layer& l, const Work& work) {
    parallel_items(l.n_threads, l.n_texts * l.n_heads, [&](long item) {
        const long text = item / l.n_heads, first = l.starts[text];
        work(first, l.starts[text + 1] - first, item % l.n_heads);
    });
}

static Head head_of(const Layer& l, long first, long length, long number) {
    const Low* q = l.asked + first * 3 * l.d + number * (l.d / l.n_heads);
    return {q, q + l.d, q + 2 * l.d, 3 * l.d, length, l.d / l.n_heads, l.causal != 0};
}

static void forward(const Layer& l) {
    pack_forward(l);
    drop(l);
    parallel(l.n_threads, [&](long part) {
        in_blocks(l.first_row(part), l.first_row(part + 1), BLOCK,
                  [&](long first, long n) { forward_before(l, first, n); });
    });
    for_each_head(l, [&](long first, long length, long number) {
        attend(head_of(l, first, length, number), l.mixed + first * l.d + number * (l.d / l.n_heads), l.d,
               l.log_sums ? l.log_sums + number * l.n_rows + first : nullptr);
    });
    parallel(l.n_threads, [&](long part) {
        in_blocks(l.first_row(part), l.first_row(part + 1), BLOCK,
                  [&](long first, long n) { forward_after(l, first, n); });
    });
}

// Where one thread sums up the gradients of weights and biases, in the order of Layer's.
struct Sums {
    struct {
        float *weight, *bias;
    } norms[2], linears[6];
    float* first;
    long size;

    Sums(const Layer& l, long part) {
        const long d = l.d, f = l.f;
        size = 4 * d * d + 2 * d * f + 9 * d + f;
        float* at = first = l.grads + part * size;
        for (auto& norm : norms) norm = {at, at + d}, at += 2 * d;
        for (long i = 0; i < 6; ++i) {
            const long n_weights = d * (i < INNER ? d : f);
            linears[i] = {at, at + n_weights}, at += n_weights + (i == INNER ? f : d);
        }
    }
};

// Adds to the gradients of a linear map, whose output's gradient and input are given, (rows, n_out) and (rows, n_in).
template <class Sum>
void add_to(const Sum& sum, const Low* grad, long grad_stride, long n_out, const Low* input, long n_in, long rows,
            Unit* grads, Unit* inputs) {
    const long units = n_units(rows);
    pack_all(grad, grad_stride, rows, n_out, grads);
    pack_all(input, n_in, rows, n_in, inputs);
    multiply_transposed<true>(grads, n_out, inputs, units, n_in, sum.weight, n_in);
    for (long c = 0; c < n_out; c += LANES) {
        V bias = load(sum.bias + c);
        for (long k = 0; k < units; ++k) bias = dot(bias, factor_at(grads + units * c + k * LANES), ones());
        store(sum.bias + c, bias);
    }
}

static void dropped_grads(const float* grad, const Dropout& dropout, long first, long n, Low* to) {
    for (long c = 0; c < n; c += LANES) store(to + c, load(grad + c) * dropout.factors(first + c));
}

static void backward_after(const Layer& l, const Sums& sums, long first, long rows) {
    const long d = l.d, f = l.f, many = BLOCK * BLOCKS;
    scratch.clear();
    Low* of_outer = scratch.take<Low>(many * d);
    Low* of_straight = scratch.take<Low>(many * f);
    Low* of_output = scratch.take<Low>(many * d);
    float* found = scratch.take<float>(BLOCK * std::max(d, f));
    Unit* left = scratch.take<Unit>(n_units(many) * std::max(d, f));
    Unit* right = scratch.take<Unit>(n_units(many) * std::max(d, f));
    in_blocks(0, rows, BLOCK, [&](long from, long n) {
        const long at = first + from;
        dropped_grads(l.grad + at * d, l.dropout(2), at * d, n * d, of_outer + from * d);
        multiply_rows(of_outer + from * d, d, n, l.outer_panels(), f, found);
        for (long c = 0; c < n * f; c += LANES)
            store(of_straight + from * f + c, load(found + c) * load(l.slope + at * f + c));
        multiply_rows(of_straight + from * f, f, n, l.inner_panels(), d, found);
        for (long r = 0; r < n; ++r) {
            const long row = (at + r) * d;
            normalise_backward(found + r * d, l.middle + row, d, l.norms[1].weight, l.moments + 2 * (l.n_rows + at + r),
                               l.grad + row, l.of_x + row, sums.norms[1].weight, sums.norms[1].bias);
        }
        dropped_grads(l.of_x + at * d, l.dropout(0), at * d, n * d, of_output + from * d);
        multiply_rows(of_output + from * d, d, n, l.out_panels(), d, found);
        for (long c = 0; c < n * d; c += LANES) store(l.of_mixed + at * d + c, load(found + c));
    });
    add_to(sums.linears[OUTER], of_outer, d, d, l.bent + first * f, f, rows, left, right);
    add_to(sums.linears[INNER], of_straight, f, f, l.thinking + first * d, d, rows, left, right);
    add_to(sums.linears[OUTPUT], of_output, d, d, l.mixed + first * d, d, rows, left, right);
}

static void backward_before(const Layer& l, const Sums& sums, long first, long rows) {
    const long d = l.d, many = BLOCK * BLOCKS;
    scratch.clear();
    float* found = scratch.take<float>(BLOCK * d);
    Unit* left = scratch.take<Unit>(n_units(many) * d);
    Unit* right = scratch.take<Unit>(n_units(many) * d);
    in_blocks(first, first + rows, BLOCK, [&](long at, long n) {
        multiply_rows(l.of_asked + at * 3 * d, 3 * d, n, l.panels, d, found);
        for (long r = 0; r < n; ++r) {
            const long row = (at + r) * d;
            normalise_backward(found + r * d, l.x + row, d, l.norms[0].weight, l.moments + 2 * (at + r), l.of_x + row,
                               l.of_x + row, sums.norms[0].weight, sums.norms[0].bias);
        }
    });
    for (long i = 0; i < 3; ++i)
        add_to(sums.linears[i], l.of_asked + first * 3 * d + i * d, 3 * d, d, l.looking + first * d, d, rows, left,
               right);
}

// Adds the other threads' sums to the first one's, and accounts for the scale that the queries went in with.
static void add_up(const Layer& l) {
    const Sums all_of(l, 0);
    parallel(l.n_threads, [&](long part) {
        const long vectors = all_of.size / LANES;
        for (long i = vectors * part / l.n_threads * LANES; i < vectors * (part + 1) / l.n_threads * LANES;
             i += LANES) {
            V sum = load(all_of.first + i);
            for (long other = 1; other < l.n_threads; ++other) sum = sum + load(all_of.first + other * all_of.size + i);
            const bool of_query =
                all_of.first + i >= all_of.linears[QUERY].weight && all_of.first + i < all_of.linears[KEY].weight;
            store(all_of.first + i, of_query ? sum * all(l.scale()) : sum);
        }
    });
}

static void backward(const Layer& l) {
    pack_backward(l);
    const auto share = [&](auto&& work) {
        parallel(l.n_threads, [&](long part) {
            in_blocks(l.first_row(part), l.first_row(part + 1), BLOCK * BLOCKS,
                      [&, sums = Sums(l, part)](long first, long n) { work(l, sums, first, n); });
        });
    };
    parallel(l.n_threads, [&](long part) {
        const Sums sums(l, part);
        std::fill_n(sums.first, sums.size, 0.0f);
    });
    share(backward_after);
    for_each_head(l, [&](long first, long length, long number) {
        const long column = number * (l.d / l.n_heads);
        Low* of_q = l.of_asked + first * 3 * l.d + column;
        attend_backward(head_of(l, first, length, number), l.mixed + first * l.d + column,
                        l.of_mixed + first * l.d + column, l.d, l.log_sums + number * l.n_rows + first, of_q,
                        of_q + l.d, of_q + 2 * l.d);
    });
    share(backward_before);
    add_up(l);
}

}  // namespace vecformer

extern "C" {
EXPORTED void vecformer_layer(const vecformer::Layer* layer) { vecformer::forward(*layer); }
EXPORTED void vecformer_layer_backward(const vecformer::Layer* layer) { vecformer::backward(*layer); }
}
