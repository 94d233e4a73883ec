// The way back: from the gradient of what came out to those of what went in and of every weight.
#include "layer.h"

namespace vecformer {

void pack_backward(const Layer& l) {
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

static void add(const float* from, long n, float* to) {
    for (long i = 0; i < n; i += LANES) store(to + i, load(to + i) + load(from + i));
}

static void dropped_grads(const float* grad, const Dropout& dropout, long first, long n, Low* to) {
    for (long c = 0; c < n; c += LANES) store(to + c, load(grad + c) * dropout.factors(first + c));
}

// The gradient of rows through one of the layer's norms, added to that of the path around, if there is one.
static void normalise_backward_rows(const Layer& l, const Sums& sums, long norm, const float* grad, const float* x,
                                    const float* beside, long first, long rows) {
    for (long r = 0; r < rows; ++r) {
        const long row = (first + r) * l.d;
        normalise_backward(grad + r * l.d, x + row, l.d, l.norms[norm].weight, l.moments_of(norm, first + r),
                           beside ? beside + row : nullptr, l.of_x + row, sums.norms[norm].weight,
                           sums.norms[norm].bias);
    }
}

void backward_after(const Layer& l, const Sums& sums, long first, long rows) {
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
        if (l.post) normalise_backward_rows(l, sums, l.outer_norm(), l.grad + at * d, l.sum, nullptr, at, n);
        const float* of_sum = l.post ? l.of_x : l.grad;
        dropped_grads(of_sum + at * d, l.dropout(2), at * d, n * d, of_outer + from * d);
        multiply_rows(of_outer + from * d, d, n, l.outer_panels(), f, found);
        for (long c = 0; c < n * f; c += LANES)
            store(of_straight + from * f + c, load(found + c) * load(l.slope + at * f + c));
        multiply_rows(of_straight + from * f, f, n, l.inner_panels(), d, found);
        if (l.post) add(l.of_x + at * d, n * d, found);
        normalise_backward_rows(l, sums, l.inner_norm(), found, l.middle, l.post ? nullptr : l.grad, at, n);
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
        if (l.post) add(found, n * d, l.of_x + at * d);
        else normalise_backward_rows(l, sums, l.outer_norm(), found, l.x, l.of_x, at, n);
    });
    for (long i = 0; i < 3; ++i)
        add_to(sums.linears[i], l.of_asked + first * 3 * d + i * d, 3 * d, d, l.looking + first * d, d, rows, left,
               right);
}

void forget(const Layer& l) {
    parallel(l.n_threads, [&](long part) {
        const Sums sums(l, part);
        std::fill_n(sums.first, sums.size, 0.0f);
    });
}

// Adds the other threads' sums to the first one's, and accounts for the scale that the queries went in with.
void add_up(const Layer& l) {
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
    forget(l);
    share_sums(l, backward_after);
    for_each_head(l, [&](long first, long length, long number) {
        const long column = number * (l.d / l.n_heads);
        Low* of_q = l.of_asked + first * 3 * l.d + column;
        attend_backward(head_of(l, first, length, number), l.mixed + first * l.d + column,
                        l.of_mixed + first * l.d + column, l.d, l.log_sums + number * l.n_rows + first, of_q,
                        of_q + l.d, of_q + 2 * l.d);
    });
    share_sums(l, backward_before);
    add_up(l);
}

}  // namespace vecformer

extern "C" EXPORTED void vecformer_layer_backward(const vecformer::Layer* layer) { vecformer::backward(*layer); }
