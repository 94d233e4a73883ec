// Layers in eight bits a number, for predictions. Each text goes through all of them by itself, never leaving the
// nearer caches. Weights have a scale for each output, activations one for each row, of a head's queries, keys and
// values too (Jacob et al. 2018, arXiv 1712.05877). Norms, softmax, GELU and the path around stay float32.
#include "bytes.h"
#include "first_token.h"
#include "weights.h"
#include "elementwise.h"
#include "threads.h"

namespace vecformer {

struct LayerParts {
    Part norms[2], linears[6];  // the latter in the order of weights.h
};

// As transformer/kernels/native/__init__.py fills it in; N rows, width d, inner width f.
struct Reading {
    int64_t n_texts, d, f, n_heads, n_layers, n_threads, post;  // post: norms behind the sums
    double eps;
    const int64_t* starts;     // (n_texts + 1): the first row of each text
    const LayerParts* layers;  // (n_layers)
    const float* x;            // (N, d): what goes into the first layer, unless there is a table
    const int64_t* ids;        // (N): rows of
    const float* table;        // (words, d)
    const float* positions;    // (longest text, d): added to the words for their places; null for none
    Part start, norm;          // before the first layer and behind the last; the weight is null for none
    float *out, *embedded;     // (N, d): what comes out, and rows of the table; or null
    float* pooled;             // (n_texts, 3 d): mean and maximum of what comes out, mean of rows of the table; or null
    float* first;              // (n_texts, d): what comes out of each text's first word, instead of the three; or null
    int32_t* panels;           // (n_layers, 4 d d + 2 d f) bytes: the weights
    float* scales;             // (n_layers, 2, 5 d + f): of each output, and the sum of its weights
};

// One of its layers.
struct ByteLayer : LayerParts {
    long d, f, n_heads;
    bool post;
    float eps;
    int32_t* panels;
    float* scales;

    ByteLayer(const Reading& r, long layer)
        : LayerParts(r.layers[layer]),
          d(r.d),
          f(r.f),
          n_heads(r.n_heads),
          post(r.post),
          eps(float(r.eps)),
          panels(r.panels + layer * (4 * d * d + 2 * d * f) / 4),
          scales(r.scales + layer * 2 * n_outputs()) {}

    long n_outputs() const { return 5 * d + f; }
    long before(long linear) const { return linear < OUTER ? linear * d : 4 * d + f; }  // outputs, all maps in a row
    long inputs(long linear) const { return linear < OUTER ? d : f; }
    long outputs(long linear) const { return linear == INNER ? f : d; }
    int32_t* panels_of(long linear) const { return panels + (linear < OUTER ? linear * d * d : 4 * d * d + d * f) / 4; }
};

constexpr int HALF = MOST / 2, ZERO = HALF + 1;  // queries are bytes around ZERO
constexpr long KEYS = 4 * LANES;                 // that are weighed together

// The weights of as many outputs as there are lanes, from `item` times that on.
static void pack(const ByteLayer& l, long item) {
    long linear = QUERY;
    while (linear < OUTER && l.before(linear + 1) <= item * LANES) ++linear;
    const long first = item * LANES - l.before(linear), n_in = l.inputs(linear);
    int32_t* panel = l.panels_of(linear) + first * n_in / 4;
    scratch.clear();
    int8_t* row = scratch.take<int8_t>(n_in);
    for (long i = 0; i < LANES; ++i) {
        const float* weights = l.linears[linear].weight + (first + i) * n_in;
        const Steps steps = to_steps<true>(weights, n_in, MOST_WEIGHT, 0, row);
        for (long k = 0; k < n_in / 4; ++k) std::memcpy(panel + k * LANES + i, row + 4 * k, 4);
        l.scales[item * LANES + i] = steps.size;
        l.scales[l.n_outputs() + item * LANES + i] = steps.size * steps.sum;
    }
}

static void normalise_rows(const Part& norm, float eps, long d, long n_rows, float* x) {
    float moments[2];
    for (long r = 0; r < n_rows; ++r) normalise(x + r * d, d, norm.weight, norm.bias, eps, moments, x + r * d);
}

// Rows of one block on their way through linear maps.
struct Block {
    uint8_t* bytes;  // (BLOCK, up to f)
    Range ranges[BLOCK];

    // Calls put(row, column, numbers) for what a map says of the rows in `bytes`.
    template <class Put>
    void say(const ByteLayer& l, long linear, long n_rows, const Put& put) const {
        const float *scales = l.scales + l.before(linear), *bias = l.linears[linear].bias;
        const long n_in = l.inputs(linear);
        multiply_bytes(bytes, n_in, n_rows, l.panels_of(linear), n_in / 4, l.outputs(linear),
                       [&](auto rows, long first, long c, const auto& sum) {
                           const V scale = load(scales + c), total = load(scales + l.n_outputs() + c);
                           const V shift = load(bias + c);
#pragma GCC unroll 16
                           for (int m = 0; m < decltype(rows)::value; ++m) {
                               const Range& range = ranges[first + m];
                               const V low = fma(all(range.low), total, shift);
                               put(first + m, c, fma(floats(sum(m)), all(range.scale) * scale, low));
                           }
                       });
    }
};

// A text's queries, keys and values.
struct Asked {
    uint8_t* q;  // (length, d)
    int8_t *k, *v;
    float *q_scale, *k_scale, *v_scale;  // (n_heads, room); q's with what the softmax needs
    float* k_low;                        // (n_heads, room): what ZERO adds to the products with a key
    long room;                           // keys, rounded up; those past the text count for nothing
};

// What a layer asks of a row, as bytes; `y` takes it as floats if it is another.
static Range looked_at(const ByteLayer& l, const float* row, float* y, uint8_t* to) {
    return l.post ? to_bytes(row, l.d, to)
                  : normalise_to_bytes(row, l.d, l.norms[0].weight, l.norms[0].bias, l.eps, y, to);
}

static void ask(const ByteLayer& l, const float* x, long length, Block& block, const Asked& asked) {
    const long d = l.d, d_head = d / l.n_heads;
    const float times = LOG2_E / std::sqrt(float(d_head));
    float* said = scratch.take<float>(BLOCK * 3 * d);
    in_blocks(0, length, BLOCK, [&](long from, long rows) {
        for (long r = 0; r < rows; ++r) block.ranges[r] = looked_at(l, x + (from + r) * d, said, block.bytes + r * d);
        for (long i = 0; i < 3; ++i)
            block.say(l, QUERY + i, rows, [&](long r, long c, V x) { store(said + r * 3 * d + i * d + c, x); });
        for (long r = 0; r < rows; ++r) {
            const float* row = said + r * 3 * d;
            const long at = (from + r) * d;
            for (long c = 0, scale = from + r; c < d; c += d_head, scale += asked.room) {
                asked.q_scale[scale] = times * to_steps<false>(row + c, d_head, HALF, ZERO, asked.q + at + c).size;
                const Steps key = to_steps<true>(row + d + c, d_head, MOST_WEIGHT, 0, asked.k + at + c);
                asked.k_scale[scale] = key.size;
                asked.k_low[scale] = -ZERO * key.sum * key.size;
                asked.v_scale[scale] = to_steps<true>(row + 2 * d + c, d_head, MOST_WEIGHT, 0, asked.v + at + c).size;
            }
        }
    });
    for (long h = 0; h < l.n_heads; ++h)
        for (long j = h * asked.room + length; j < (h + 1) * asked.room; ++j)
            asked.k_scale[j] = asked.v_scale[j] = 0, asked.k_low[j] = -1e30f;
}

// A head's keys and values, (room, d_head) bytes, as right factors.
static void pack_head(const Asked& asked, long length, long d, long d_head, long column, int32_t* keys,
                      int32_t* values) {
    const long fours = d_head / 4, panel = asked.room / 4 * LANES;
    for (long j = 0; j < length; ++j)
        for (long k = 0; k < fours; ++k)
            std::memcpy(keys + j / LANES * LANES * fours + k * LANES + j % LANES, asked.k + j * d + column + 4 * k, 4);
    for (long j = 0; j < asked.room; j += 4)
        for (long c = 0; c < d_head; c += 16) {
            __m128i r[4];
            for (long i = 0; i < 4; ++i)
                r[i] = j + i < length
                           ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(asked.v + (j + i) * d + column + c))
                           : _mm_setzero_si128();
            const __m128i low = _mm_unpacklo_epi8(r[0], r[1]), low2 = _mm_unpacklo_epi8(r[2], r[3]);
            const __m128i high = _mm_unpackhi_epi8(r[0], r[1]), high2 = _mm_unpackhi_epi8(r[2], r[3]);
            const __m128i fours_of[4] = {_mm_unpacklo_epi16(low, low2), _mm_unpackhi_epi16(low, low2),
                                         _mm_unpacklo_epi16(high, high2), _mm_unpackhi_epi16(high, high2)};
            for (long i = 0, to = c; i < 4; ++i, to += 4)
                _mm_storeu_si128(reinterpret_cast<__m128i*>(values + to / LANES * panel + j / 4 * LANES + to % LANES),
                                 fours_of[i]);
        }
}

struct Weighed {
    float sum;   // of exp(scores - the highest)
    float rest;  // what rounding has taken from all keys together
};

// From the scores of a query, the highest of each lane given, to bytes of softmax's weights, times those of the keys'
// values.
static Weighed weigh(const float* scores, V most, const float* weight, long room, float q_scale, uint8_t* pattern) {
    const V times = all(q_scale), top = all(-q_scale * most_of(most));
    V sum[2] = {zeros(), zeros()}, exact[2] = {zeros(), zeros()};
    Bytes near{};
    for (long j = 0; j < room; j += KEYS) {
        Bytes x[4];
#pragma GCC unroll 4
        for (long i = 0; i < 4; ++i) {
            const long at = j + i * LANES;
            const V e = rough_exp2(fma(load(scores + at), times, top)), share = e * load(weight + at);
            sum[i % 2] = sum[i % 2] + e;
            exact[i % 2] = exact[i % 2] + share;
            x[i] = whole(share);
            near = plus(near, x[i]);
        }
        store_bytes<false>(pattern + j, x);
    }
    return {sum_of(sum[0] + sum[1]), sum_of(exact[0] + exact[1]) - sum_of(floats(near))};
}

// softmax(Q K^T) V (Vaswani et al. 2017, equation 1). The pattern is bytes, the largest weight MOST; what rounding
// takes from all keys of a row, or adds, is made up for as if it were shared evenly: many small weights may round to
// nothing.
static void attend(const ByteLayer& l, long length, const Asked& asked, float* mixed) {
    constexpr long together = 12;
    const long d = l.d, d_head = d / l.n_heads, room = asked.room;
    int32_t* keys = scratch.take<int32_t>(room * d_head / 4);
    int32_t* values = scratch.take<int32_t>(room * d_head / 4);
    float* scores = scratch.take<float>(together * room);
    float* weight = scratch.take<float>(room);  // of each key's values, of MOST
    uint8_t* pattern = scratch.take<uint8_t>(together * room);
    int32_t* found = scratch.take<int32_t>(together * d_head);
    float* mean = scratch.take<float>(d_head);  // of the values, in steps
    for (long h = 0; h < l.n_heads; ++h) {
        const long column = h * d_head, scales = h * room;
        const float most_v = *std::max_element(asked.v_scale + scales, asked.v_scale + scales + length);
        for (long j = 0; j < room; ++j) weight[j] = asked.v_scale[scales + j] / most_v * MOST;
        pack_head(asked, length, d, d_head, column, keys, values);
        const auto mix = [&](long rows) {
            multiply_bytes(pattern, room, rows, values, room / 4, d_head,
                           [&](auto rows, long first, long c, const auto& sum) {
                               for (int m = 0; m < decltype(rows)::value; ++m)
                                   store(found + (first + m) * d_head + c, sum(m));
                           });
        };
        std::memset(pattern, 1, room);
        mix(1);
        for (long c = 0; c < d_head; ++c) mean[c] = float(found[c]) / float(length);
        for (long i = 0; i < length; i += together) {
            const long rows = std::min(together, length - i);
            V most[together];
            std::fill_n(most, rows, all(-INFINITY));
            multiply_bytes(asked.q + i * d + column, d, rows, keys, d_head / 4, room,
                           [&](auto rows, long first, long c, const auto& sum) {
                               const V scale = load(asked.k_scale + scales + c), low = load(asked.k_low + scales + c);
#pragma GCC unroll 16
                               for (int m = 0; m < decltype(rows)::value; ++m) {
                                   const V score = fma(floats(sum(m)), scale, low);
                                   most[first + m] = max(most[first + m], score);
                                   store(scores + (first + m) * room + c, score);
                               }
                           });
            Weighed weighed[together];
            for (long r = 0; r < rows; ++r)
                weighed[r] =
                    weigh(scores + r * room, most[r], weight, room, asked.q_scale[scales + i + r], pattern + r * room);
            mix(rows);
            for (long r = 0; r < rows; ++r) {
                const V rest = all(weighed[r].rest), times = all(most_v / MOST / weighed[r].sum);
                for (long c = 0; c < d_head; c += LANES)
                    store(mixed + (i + r) * d + column + c,
                          fma(rest, load(mean + c), floats(bytes_at(found + r * d_head + c))) * times);
            }
        }
    }
}

// The attention's output, the feed-forward, and the norms behind the first; x becomes what the layer gives.
static void think(const ByteLayer& l, float* x, long length, Block& block, const float* mixed) {
    const long d = l.d, f = l.f;
    float* middle = scratch.take<float>(BLOCK * d);
    float* wide = scratch.take<float>(BLOCK * std::max(d, f));
    in_blocks(0, length, BLOCK, [&](long from, long rows) {
        float* path = x + from * d;
        for (long r = 0; r < rows; ++r) block.ranges[r] = to_bytes(mixed + (from + r) * d, d, block.bytes + r * d);
        block.say(l, OUTPUT, rows,
                  [&](long r, long c, V said) { store(middle + r * d + c, load(path + r * d + c) + said); });
        const Part& norm = l.norms[l.post ? 0 : 1];
        for (long r = 0; r < rows; ++r)
            block.ranges[r] = normalise_to_bytes(middle + r * d, d, norm.weight, norm.bias, l.eps,
                                                 l.post ? middle + r * d : wide, block.bytes + r * d);
        block.say(l, INNER, rows, [&](long r, long c, V said) { store(wide + r * f + c, rough_gelu(said)); });
        for (long r = 0; r < rows; ++r) block.ranges[r] = to_bytes(wide + r * f, f, block.bytes + r * f);
        block.say(l, OUTER, rows,
                  [&](long r, long c, V said) { store(path + r * d + c, load(middle + r * d + c) + said); });
        if (l.post) normalise_rows(l.norms[1], l.eps, d, rows, path);
    });
}

// Word vectors and what is added for their places; keeps the vectors, and sums them up.
static void begin(const Reading& t, long first, long length, float* x, float* sum) {
    const long d = t.d;
    if (!t.table) {
        std::copy_n(t.x + first * d, length * d, x);
        return;
    }
    std::fill_n(sum, d, 0.0f);
    for (long r = 0; r < length; ++r) {
        const float* word = t.table + t.ids[first + r] * d;
        for (long c = 0; c < d; c += LANES) {
            const V vector = load(word + c);
            if (t.embedded) store(t.embedded + (first + r) * d + c, vector);
            store(sum + c, load(sum + c) + vector);
            store(x + r * d + c, t.positions ? vector + load(t.positions + r * d + c) : vector);
        }
    }
    if (t.start.weight) normalise_rows(t.start, float(t.eps), d, length, x);
}

// The last layer for a text's first word alone, x's first row, which becomes what comes out of it; its attention stays
// float32.
static void end_alone(const Reading& t, const ByteLayer& l, float* x, long length, Block& block, float* mixed) {
    const long d = l.d, n_heads = l.n_heads;
    const float* looked = x;
    if (!l.post) {
        float* normed = scratch.take<float>(length * d);
        std::copy_n(x, length * d, normed);
        normalise_rows(l.norms[0], l.eps, d, length, normed);
        looked = normed;
    }
    const Found found{scratch.take<float>(d), scratch.take<float>(n_heads * d), scratch.take<float>(n_heads * d),
                      scratch.take<float>(n_heads * length), length};
    attend_first(l.linears, d, n_heads, looked, length, found, mixed);
    think(l, x, 1, block, mixed);
    if (t.norm.weight) normalise_rows(t.norm, l.eps, d, 1, x);
}

// The last norm, and what transformer/models/heads.py pools of a text; x is changed, `sum` is of its word vectors.
static void end(const Reading& t, long first, long length, float* x, const float* sum, float* pooled) {
    const long d = t.d;
    if (t.norm.weight) normalise_rows(t.norm, float(t.eps), d, length, x);
    if (t.out) std::copy_n(x, length * d, t.out + first * d);
    const V share = all(1 / float(length));
    for (long c = 0; c < d && pooled; c += LANES) {
        V mean = zeros(), most = all(-INFINITY);
        for (long r = 0; r < length; ++r) {
            mean = mean + load(x + r * d + c);
            most = max(most, load(x + r * d + c));
        }
        store(pooled + c, mean * share);
        store(pooled + d + c, most);
        store(pooled + 2 * d + c, load(sum + c) * share);
    }
}

static void read(const Reading& t, long text) {
    const long first = t.starts[text], length = t.starts[text + 1] - first, d = t.d;
    const long room = rounded_up(length, KEYS), scales = t.n_heads * room;
    scratch.clear();
    float* x = scratch.take<float>(length * d);
    float* sum = scratch.take<float>(d);
    float* mixed = scratch.take<float>(length * d);
    Block block{scratch.take<uint8_t>(BLOCK * std::max(d, t.f)), {}};
    const Asked asked{scratch.take<uint8_t>(room * d), scratch.take<int8_t>(room * d),
                      scratch.take<int8_t>(room * d),  scratch.take<float>(scales),
                      scratch.take<float>(scales),     scratch.take<float>(scales),
                      scratch.take<float>(scales),     room};
    begin(t, first, length, x, sum);
    for (long i = 0; i < t.n_layers; ++i) {
        const Scratch::Mark mark = scratch.mark();
        const ByteLayer layer(t, i);
        if (t.first && i == t.n_layers - 1) {
            end_alone(t, layer, x, length, block, mixed);
            std::copy_n(x, d, t.first + text * d);
            return;
        }
        ask(layer, x, length, block, asked);
        attend(layer, length, asked, mixed);
        think(layer, x, length, block, mixed);
        scratch.back_to(mark);
    }
    end(t, first, length, x, sum, t.pooled ? t.pooled + text * 3 * d : nullptr);
}

static void read(const Reading& t) {
    const long items = (5 * t.d + t.f) / LANES;
    parallel_items(t.n_threads, t.n_layers * items, [&](long item) { pack(ByteLayer(t, item / items), item % items); });
    parallel_items(t.n_threads, t.n_texts, [&](long text) { read(t, text); });
}

}  // namespace vecformer

extern "C" EXPORTED void vecformer_read(const vecformer::Reading* reading) { vecformer::read(*reading); }
