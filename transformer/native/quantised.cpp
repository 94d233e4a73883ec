// A whole layer in eight bits a number, for predictions: as layer.cpp, but each text goes through it by itself, never
// leaving the nearer caches. Weights have a scale for each output, activations one for each row, of a head's queries,
// keys and values too (Jacob et al. 2018, arXiv 1712.05877). Norms, softmax, GELU and the path around stay float32.
#include <cmath>
#include <limits>

#include "bytes.h"
#include "parts.h"
#include "rows.h"
#include "threads.h"

namespace vecformer {

// As transformer/native/__init__.py fills it in; N rows, width d, inner width f.
struct ByteLayer {
    int64_t n_texts, d, f, n_heads, n_threads;
    double eps;
    const int64_t* starts;      // (n_texts + 1): the first row of each text
    Part norms[2], linears[6];  // the latter in the order of parts.h
    const float* x;             // (N, d)
    float* out;                 // (N, d)
    int32_t* panels;            // (4 d d + 2 d f) bytes: the weights
    float* scales;              // (2, 5 d + f): of each output, and the sum of its weights

    long n_outputs() const { return 5 * d + f; }
    long before(long linear) const { return linear < OUTER ? linear * d : 4 * d + f; }  // outputs, all maps in a row
    long inputs(long linear) const { return linear < OUTER ? d : f; }
    long outputs(long linear) const { return linear == INNER ? f : d; }
    int32_t* panels_of(long linear) const { return panels + (linear < OUTER ? linear * d * d : 4 * d * d + d * f) / 4; }
};

constexpr int HALF = MOST / 2, ZERO = HALF + 1;  // queries are bytes around ZERO

static void pack(const ByteLayer& l) {
    parallel_items(l.n_threads, l.n_outputs() / LANES, [&](long item) {
        long linear = QUERY;
        while (linear < OUTER && l.before(linear + 1) <= item * LANES) ++linear;
        const long first = item * LANES - l.before(linear), n_in = l.inputs(linear);
        int32_t* panel = l.panels_of(linear) + first * n_in / 4;
        scratch.clear();
        int8_t* row = scratch.take<int8_t>(n_in);
        for (long i = 0; i < LANES; ++i) {
            const float scale = to_steps(l.linears[linear].weight + (first + i) * n_in, n_in, MOST_WEIGHT, 0, row);
            int sum = 0;
            for (long k = 0; k < n_in; ++k) sum += row[k];
            for (long k = 0; k < n_in / 4; ++k) std::memcpy(panel + k * LANES + i, row + 4 * k, 4);
            l.scales[item * LANES + i] = scale;
            l.scales[l.n_outputs() + item * LANES + i] = scale * float(sum);
        }
    });
}

// Rows of one block on their way through linear maps.
struct Block {
    uint8_t* bytes;  // (BLOCK, up to f)
    int32_t* found;  // (BLOCK, up to 3 d or f)
    Range ranges[BLOCK];

    // The products of the rows in `bytes` with some maps' weights, from `linear` on.
    void multiply(const ByteLayer& l, long linear, long rows, long n_out) {
        const long n_in = l.inputs(linear);
        multiply_bytes(bytes, n_in, rows, l.panels_of(linear), n_in / 4 * LANES, n_in / 4, n_out, found, n_out);
    }
    // What a map says of row r, in LANES outputs from c on; `at` is where they lie in `found`.
    V said(const ByteLayer& l, long linear, long r, long c, long at) const {
        const float* scale = l.scales + l.before(linear) + c;
        const V shift = fma(all(ranges[r].low), load(scale + l.n_outputs()), load(l.linears[linear].bias + c));
        return fma(floats(bytes_at(found + at)), all(ranges[r].scale) * load(scale), shift);
    }
};

// A text's queries, keys and values.
struct Asked {
    uint8_t* q;  // (length, d)
    int8_t *k, *v;
    float *q_scale, *k_scale, *v_scale;  // (n_heads, room); q's with what the softmax needs
    int32_t* shift;                      // (n_heads, room): what ZERO adds to the products with a key
    long room;
};

static void ask(const ByteLayer& l, long first, long length, Block& block, const Asked& asked) {
    const long d = l.d, d_head = d / l.n_heads;
    float* row = scratch.take<float>(3 * d);
    in_blocks(0, length, BLOCK, [&](long from, long rows) {
        float moments[2];
        for (long r = 0; r < rows; ++r) {
            normalise(l.x + (first + from + r) * d, d, l.norms[0].weight, l.norms[0].bias, float(l.eps), moments, row);
            block.ranges[r] = to_bytes(row, d, block.bytes + r * d);
        }
        block.multiply(l, QUERY, rows, 3 * d);
        for (long r = 0; r < rows; ++r) {
            const long at = from + r;
            for (long i = 0; i < 3; ++i)
                for (long c = 0; c < d; c += LANES)
                    store(row + i * d + c, block.said(l, i, r, c, r * 3 * d + i * d + c));
            for (long h = 0; h < l.n_heads; ++h) {
                const long column = h * d_head, to = at * d + column, scale = h * asked.room + at;
                asked.q_scale[scale] =
                    to_steps(row + column, d_head, HALF, ZERO, asked.q + to) * LOG2_E / std::sqrt(float(d_head));
                asked.k_scale[scale] = to_steps(row + d + column, d_head, MOST_WEIGHT, 0, asked.k + to);
                asked.v_scale[scale] = to_steps(row + 2 * d + column, d_head, MOST_WEIGHT, 0, asked.v + to);
                int sum = 0;
                for (long c = 0; c < d_head; ++c) sum += asked.k[to + c];
                asked.shift[scale] = -ZERO * sum;
            }
        }
    });
}

// One head's keys and values as right factors.
struct Factors {
    int32_t *keys, *values;  // (room, d_head) bytes
    float* mean;             // (d_head): of the values, in steps
};

static void pack_head(const Asked& asked, long length, long d, long d_head, long column, const Factors& to) {
    const long fours = d_head / 4, panel = asked.room / 4 * LANES;
    for (long j = 0; j < length; ++j)
        for (long k = 0; k < fours; ++k)
            std::memcpy(to.keys + j / LANES * LANES * fours + k * LANES + j % LANES, asked.k + j * d + column + 4 * k,
                        4);
    std::fill_n(to.mean, d_head, 0.0f);
    for (long j = 0; j < asked.room; j += 4) {
        for (long c = 0; c < d_head; c += 16) {
            __m128i r[4];
            for (long i = 0; i < 4; ++i)
                r[i] = j + i < length
                           ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(asked.v + (j + i) * d + column + c))
                           : _mm_setzero_si128();
            const __m128i low = _mm_unpacklo_epi8(r[0], r[1]), low2 = _mm_unpacklo_epi8(r[2], r[3]);
            const __m128i high = _mm_unpackhi_epi8(r[0], r[1]), high2 = _mm_unpackhi_epi8(r[2], r[3]);
            const __m128i out[4] = {_mm_unpacklo_epi16(low, low2), _mm_unpackhi_epi16(low, low2),
                                    _mm_unpacklo_epi16(high, high2), _mm_unpackhi_epi16(high, high2)};
            for (long i = 0; i < 4; ++i) {
                const long to_column = c + 4 * i;
                _mm_storeu_si128(reinterpret_cast<__m128i*>(to.values + to_column / LANES * panel + j / 4 * LANES +
                                                            to_column % LANES),
                                 out[i]);
            }
        }
    }
    for (long j = 0; j < length; ++j)
        for (long c = 0; c < d_head; ++c) to.mean[c] += float(asked.v[j * d + column + c]) / float(length);
}

// softmax(Q K^T) V (Vaswani et al. 2017, equation 1). The pattern is bytes, the largest weight MOST; what rounding
// takes from all keys of a row, or adds, is made up for as if it were shared evenly: many small weights may round to
// nothing.
static void attend(const ByteLayer& l, long length, const Asked& asked, float* mixed) {
    constexpr long together = 12;
    const long d = l.d, d_head = d / l.n_heads, room = asked.room;
    const Factors factors{scratch.take<int32_t>(room * d_head / 4), scratch.take<int32_t>(room * d_head / 4),
                          scratch.take<float>(d_head)};
    int32_t* scores = scratch.take<int32_t>(together * room);
    float* raised = scratch.take<float>(room);
    float* weight = scratch.take<float>(room);  // of each key's values, of MOST
    uint8_t* pattern = scratch.take<uint8_t>(together * room);
    int32_t* found = scratch.take<int32_t>(together * d_head);
    const long whole = length / LANES * LANES;
    for (long h = 0; h < l.n_heads; ++h) {
        pack_head(asked, length, d, d_head, h * d_head, factors);
        const float *k_scale = asked.k_scale + h * room, *v_scale = asked.v_scale + h * room;
        const int32_t* shift = asked.shift + h * room;
        const float most_v = *std::max_element(v_scale, v_scale + length);
        for (long j = 0; j < room; ++j) weight[j] = j < length ? v_scale[j] / most_v * MOST : 0;
        for (long i = 0; i < length; i += together) {
            const long rows = std::min(together, length - i);
            multiply_bytes(asked.q + i * d + h * d_head, d, rows, factors.keys, d_head / 4 * LANES, d_head / 4, room,
                           scores, room);
            float left[together], total[together];
            for (long r = 0; r < rows; ++r) {
                const float q_scale = asked.q_scale[h * room + i + r];
                V most = all(-std::numeric_limits<float>::infinity());
                const auto score = [&](long j) {
                    const Bytes sums = plus(bytes_at(scores + r * room + j), bytes_at(shift + j));
                    return floats(sums) * load(k_scale + j);
                };
                for (long j = 0; j < whole; j += LANES) {
                    const V s = score(j);
                    most = max(most, s);
                    store(raised + j, s);
                }
                if (whole < length) {
                    const V s = either(lanes(length - whole), score(whole), most);
                    most = max(most, s);
                    store(raised + whole, s);
                }
                const V top = all(most_of(most) * q_scale);
                V sum = zeros(), rest = zeros();
                const auto weigh = [&](long j, V e) {
                    const V exact = e * load(weight + j), near = rounded(exact);
                    sum = sum + e;
                    rest = rest + (exact - near);
                    store_bytes(pattern + r * room + j, near);
                };
                const auto raise = [&](long j) { return exp2<true>(fma(load(raised + j), all(q_scale), -top)); };
                for (long j = 0; j < whole; j += LANES) weigh(j, raise(j));
                if (whole < length) weigh(whole, only(lanes(length - whole), raise(whole)));
                for (long j = rounded_up(length, LANES); j < room; j += LANES)
                    store_bytes(pattern + r * room + j, zeros());
                total[r] = sum_of(sum);
                left[r] = sum_of(rest);
            }
            multiply_bytes(pattern, room, rows, factors.values, room / 4 * LANES, room / 4, d_head, found, d_head);
            for (long r = 0; r < rows; ++r)
                for (long c = 0; c < d_head; c += LANES) {
                    const V sum = fma(all(left[r]), load(factors.mean + c), floats(bytes_at(found + r * d_head + c)));
                    store(mixed + (i + r) * d + h * d_head + c, sum * all(most_v / MOST / total[r]));
                }
        }
    }
}

// The attention's output, the second norm, and the feed-forward.
static void think(const ByteLayer& l, long first, long length, Block& block, const float* mixed) {
    const long d = l.d, f = l.f;
    float* middle = scratch.take<float>(BLOCK * d);
    float* row = scratch.take<float>(std::max(d, f));
    in_blocks(0, length, BLOCK, [&](long from, long rows) {
        for (long r = 0; r < rows; ++r) block.ranges[r] = to_bytes(mixed + (from + r) * d, d, block.bytes + r * d);
        block.multiply(l, OUTPUT, rows, d);
        for (long r = 0; r < rows; ++r) {
            const float* x = l.x + (first + from + r) * d;
            for (long c = 0; c < d; c += LANES)
                store(middle + r * d + c, load(x + c) + block.said(l, OUTPUT, r, c, r * d + c));
            float moments[2];
            normalise(middle + r * d, d, l.norms[1].weight, l.norms[1].bias, float(l.eps), moments, row);
            block.ranges[r] = to_bytes(row, d, block.bytes + r * d);
        }
        block.multiply(l, INNER, rows, f);
        for (long r = 0; r < rows; ++r) {
            for (long c = 0; c < f; c += LANES) store(row + c, gelu<true>(block.said(l, INNER, r, c, r * f + c)).value);
            block.ranges[r] = to_bytes(row, f, block.bytes + r * f);
        }
        block.multiply(l, OUTER, rows, d);
        for (long r = 0; r < rows; ++r)
            for (long c = 0; c < d; c += LANES)
                store(l.out + (first + from + r) * d + c,
                      load(middle + r * d + c) + block.said(l, OUTER, r, c, r * d + c));
    });
}

static void read(const ByteLayer& l) {
    pack(l);
    parallel_items(l.n_threads, l.n_texts, [&](long text) {
        const long first = l.starts[text], length = l.starts[text + 1] - first, d = l.d;
        const long room = rounded_up(length, 16), widest = std::max(3 * d, l.f), all_heads = l.n_heads * room;
        scratch.clear();
        Block block{scratch.take<uint8_t>(BLOCK * std::max(d, l.f)), scratch.take<int32_t>(BLOCK * widest), {}};
        const Asked asked{scratch.take<uint8_t>(room * d),  scratch.take<int8_t>(room * d),
                          scratch.take<int8_t>(room * d),   scratch.take<float>(all_heads),
                          scratch.take<float>(all_heads),   scratch.take<float>(all_heads),
                          scratch.take<int32_t>(all_heads), room};
        float* mixed = scratch.take<float>(length * d);
        ask(l, first, length, block, asked);
        attend(l, length, asked, mixed);
        think(l, first, length, block, mixed);
    });
}

}  // namespace vecformer

extern "C" EXPORTED void vecformer_layer_int8(const vecformer::ByteLayer* layer) { vecformer::read(*layer); }
