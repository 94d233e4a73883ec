// A whole encoder in int8, for inference. A thread computes all layers of one sequence before it starts the next, so
// that the activations stay in the L1/L2 cache. Weights have one scale per output channel, activations one per row, and
// queries, keys and values one per row and head (Jacob et al. 2018, arXiv 1712.05877). Layer norm, softmax, GELU and
// the residual stream are float32.
#include "elementwise.h"
#include "first_token.h"
#include "int8.h"
#include "threads.h"
#include "weights.h"

namespace vecformer {

// One layer, and its part of packed_weights and weight_scales.
struct Int8Layer : LayerWeights {
    long d, f, n_heads;
    bool post;
    float eps;
    int32_t* packed_weights;
    float* weight_scales;

    Int8Layer(const Int8Call& call, long layer)
        : LayerWeights(call.layers[layer]),
          d(call.d_model),
          f(call.d_ff),
          n_heads(call.n_heads),
          post(call.post),
          eps(float(call.eps)),
          packed_weights(call.packed_weights + layer * (4 * d * d + 2 * d * f) / 4),
          weight_scales(call.weight_scales + layer * 2 * n_channels()) {}

    long n_channels() const { return 5 * d + f; }  // output channels of all linear maps
    long first_channel(long linear) const { return linear < FFN_OUTPUT ? linear * d : 4 * d + f; }
    long n_in(long linear) const { return linear < FFN_OUTPUT ? d : f; }
    long n_out(long linear) const { return linear == FFN_INNER ? f : d; }
    int32_t* packed(long linear) const {
        return packed_weights + (linear < FFN_OUTPUT ? linear * d * d : 4 * d * d + d * f) / 4;
    }
};

constexpr int QUERY_QMAX = ACTIVATION_QMAX / 2, QUERY_ZERO_POINT = QUERY_QMAX + 1;  // queries are uint8
constexpr long KEY_BLOCK = 4 * LANES;                                               // keys per step of the softmax

// Quantise and pack the weights of output channels `item * LANES` to `item * LANES + LANES - 1`.
static void pack_weights(const Int8Layer& l, long item) {
    long linear = QUERY;
    while (linear < FFN_OUTPUT && l.first_channel(linear + 1) <= item * LANES) ++linear;
    const long first = item * LANES - l.first_channel(linear), n_in = l.n_in(linear);
    int32_t* panel = l.packed(linear) + first * n_in / 4;
    scratch.clear();
    int8_t* row = scratch.alloc<int8_t>(n_in);
    for (long i = 0; i < LANES; ++i) {
        const float* weights = l.linears[linear].weight + (first + i) * n_in;
        const SymmetricQuant quant = quantize_symmetric<true>(weights, n_in, WEIGHT_QMAX, 0, row);
        for (long k = 0; k < n_in / 4; ++k) std::memcpy(panel + k * LANES + i, row + 4 * k, 4);
        l.weight_scales[item * LANES + i] = quant.scale;
        l.weight_scales[l.n_channels() + item * LANES + i] = quant.scale * quant.sum;
    }
}

static void layer_norm_rows(const Affine& norm, float eps, long d, long n_rows, float* x) {
    float stats[2];
    for (long r = 0; r < n_rows; ++r) layer_norm(x + r * d, d, norm.weight, norm.bias, eps, stats, x + r * d);
}

// A block of quantised rows.
struct QuantizedRows {
    uint8_t* values;  // (ROW_BLOCK, up to max(d, f))
    RowQuant quants[ROW_BLOCK];

    // Apply a linear map to the rows and dequantise: calls store_result(row, column, float32 vector).
    template <class Store>
    void gemm_dequant(const Int8Layer& l, long linear, long n_rows, const Store& store_result) const {
        const float *scales = l.weight_scales + l.first_channel(linear), *bias = l.linears[linear].bias;
        const long n_in = l.n_in(linear);
        gemm_int8(values, n_in, n_rows, l.packed(linear), n_in / 4, l.n_out(linear),
                  [&](auto rows, long first, long c, const auto& acc) {
                      const Vec scale = load(scales + c), weight_sum = load(scales + l.n_channels() + c);
                      const Vec bias_vec = load(bias + c);
#pragma GCC unroll 16
                      for (int m = 0; m < decltype(rows)::value; ++m) {
                          const RowQuant& quant = quants[first + m];
                          const Vec offset = fma(set1(quant.minimum), weight_sum, bias_vec);
                          store_result(first + m, c, fma(to_float(acc(m)), set1(quant.scale) * scale, offset));
                      }
                  });
    }
};

// Quantised queries, keys and values of one sequence.
struct QuantizedQkv {
    uint8_t* q;  // (length, d)
    int8_t *k, *v;
    float *q_scale, *k_scale, *v_scale;  // (n_heads, padded); q_scale includes log2(e) / sqrt(d_head)
    float* k_offset;                     // (n_heads, padded): corrects the scores of a key for the queries' zero point
    long padded;                         // length, rounded up; keys past the sequence get no weight
};

// Quantise the input of the attention; in pre-norm layers `y` receives its float32 values.
static RowQuant quantize_ln1(const Int8Layer& l, const float* row, float* y, uint8_t* q) {
    return l.post ? quantize_activations(row, l.d, q)
                  : layer_norm_quantize(row, l.d, l.norms[0].weight, l.norms[0].bias, l.eps, y, q);
}

// The attention norm (pre-norm), and queries, keys and values.
static void project_qkv(const Int8Layer& l, const float* x, long length, QuantizedRows& block,
                        const QuantizedQkv& qkv) {
    const long d = l.d, d_head = d / l.n_heads;
    const float score_scale = LOG2_E / std::sqrt(float(d_head));
    float* products = scratch.alloc<float>(ROW_BLOCK * 3 * d);
    for_each_block(0, length, ROW_BLOCK, [&](long from, long rows) {
        for (long r = 0; r < rows; ++r)
            block.quants[r] = quantize_ln1(l, x + (from + r) * d, products, block.values + r * d);
        for (long i = 0; i < 3; ++i)
            block.gemm_dequant(l, QUERY + i, rows,
                               [&](long r, long c, Vec y) { store(products + r * 3 * d + i * d + c, y); });
        for (long r = 0; r < rows; ++r) {
            const float* row = products + r * 3 * d;
            const long at = (from + r) * d;
            for (long c = 0, scale = from + r; c < d; c += d_head, scale += qkv.padded) {
                qkv.q_scale[scale] =
                    score_scale *
                    quantize_symmetric<false>(row + c, d_head, QUERY_QMAX, QUERY_ZERO_POINT, qkv.q + at + c).scale;
                const SymmetricQuant key =
                    quantize_symmetric<true>(row + d + c, d_head, WEIGHT_QMAX, 0, qkv.k + at + c);
                qkv.k_scale[scale] = key.scale;
                qkv.k_offset[scale] = -QUERY_ZERO_POINT * key.sum * key.scale;
                qkv.v_scale[scale] =
                    quantize_symmetric<true>(row + 2 * d + c, d_head, WEIGHT_QMAX, 0, qkv.v + at + c).scale;
            }
        }
    });
    for (long h = 0; h < l.n_heads; ++h)
        for (long j = h * qkv.padded + length; j < (h + 1) * qkv.padded; ++j)
            qkv.k_scale[j] = qkv.v_scale[j] = 0, qkv.k_offset[j] = -1e30f;
}

// Pack K^T, (d_head, padded), and V, (padded, d_head), of one head.
static void pack_head(const QuantizedQkv& qkv, long length, long d, long d_head, long column, int32_t* keys,
                      int32_t* values) {
    const long k_groups = d_head / 4, panel_stride = qkv.padded / 4 * LANES;
    for (long j = 0; j < length; ++j)
        for (long k = 0; k < k_groups; ++k)
            std::memcpy(keys + j / LANES * LANES * k_groups + k * LANES + j % LANES, qkv.k + j * d + column + 4 * k, 4);
    for (long j = 0; j < qkv.padded; j += 4)
        for (long c = 0; c < d_head; c += 16) {
            __m128i r[4];
            for (long i = 0; i < 4; ++i)
                r[i] = j + i < length
                           ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(qkv.v + (j + i) * d + column + c))
                           : _mm_setzero_si128();
            const __m128i low = _mm_unpacklo_epi8(r[0], r[1]), low2 = _mm_unpacklo_epi8(r[2], r[3]);
            const __m128i high = _mm_unpackhi_epi8(r[0], r[1]), high2 = _mm_unpackhi_epi8(r[2], r[3]);
            const __m128i groups[4] = {_mm_unpacklo_epi16(low, low2), _mm_unpackhi_epi16(low, low2),
                                       _mm_unpacklo_epi16(high, high2), _mm_unpackhi_epi16(high, high2)};
            for (long i = 0, to = c; i < 4; ++i, to += 4)
                _mm_storeu_si128(
                    reinterpret_cast<__m128i*>(values + to / LANES * panel_stride + j / 4 * LANES + to % LANES),
                    groups[i]);
        }
}

struct SoftmaxRow {
    float sum;             // of exp(score - maximum)
    float rounding_error;  // sum of the weights before minus after rounding
};

// Compute exp(score - maximum) * value_scale for the keys of one query, rounded to uint8. `maximum` holds the maximum
// of each lane.
static SoftmaxRow softmax_quantize(const float* scores, Vec maximum, const float* value_scale, long padded,
                                   float q_scale, uint8_t* pattern) {
    const Vec scale = set1(q_scale), shift = set1(-q_scale * reduce_max(maximum));
    Vec sum[2] = {zero(), zero()}, exact[2] = {zero(), zero()};
    IntVec rounded{};
    for (long j = 0; j < padded; j += KEY_BLOCK) {
        IntVec x[4];
#pragma GCC unroll 4
        for (long i = 0; i < 4; ++i) {
            const long at = j + i * LANES;
            const Vec e = fast_exp2(fma(load(scores + at), scale, shift)), weight = e * load(value_scale + at);
            sum[i % 2] = sum[i % 2] + e;
            exact[i % 2] = exact[i % 2] + weight;
            x[i] = to_int(weight);
            rounded = add(rounded, x[i]);
        }
        store_int8<false>(pattern + j, x);
    }
    return {reduce_add(sum[0] + sum[1]), reduce_add(exact[0] + exact[1]) - reduce_add(to_float(rounded))};
}

// softmax(Q K^T) V (Vaswani et al. 2017, equation 1). Attention weights are uint8 with maximum ACTIVATION_QMAX. Many
// small weights may all round to zero, so the sum of a row's rounding errors is distributed evenly over its keys.
static void attention(const Int8Layer& l, long length, const QuantizedQkv& qkv, float* out) {
    constexpr long query_block = 12;
    const long d = l.d, d_head = d / l.n_heads, padded = qkv.padded;
    int32_t* keys = scratch.alloc<int32_t>(padded * d_head / 4);
    int32_t* values = scratch.alloc<int32_t>(padded * d_head / 4);
    float* scores = scratch.alloc<float>(query_block * padded);
    float* value_scale = scratch.alloc<float>(padded);  // of each key, relative to the largest, times ACTIVATION_QMAX
    uint8_t* pattern = scratch.alloc<uint8_t>(query_block * padded);
    int32_t* products = scratch.alloc<int32_t>(query_block * d_head);
    float* mean = scratch.alloc<float>(d_head);  // of the quantised values
    for (long h = 0; h < l.n_heads; ++h) {
        const long column = h * d_head, scales = h * padded;
        const float max_v_scale = *std::max_element(qkv.v_scale + scales, qkv.v_scale + scales + length);
        for (long j = 0; j < padded; ++j) value_scale[j] = qkv.v_scale[scales + j] / max_v_scale * ACTIVATION_QMAX;
        pack_head(qkv, length, d, d_head, column, keys, values);
        const auto pattern_times_values = [&](long n_rows) {
            gemm_int8(pattern, padded, n_rows, values, padded / 4, d_head,
                      [&](auto rows, long first, long c, const auto& acc) {
                          for (int m = 0; m < decltype(rows)::value; ++m)
                              store(products + (first + m) * d_head + c, acc(m));
                      });
        };
        std::memset(pattern, 1, padded);
        pattern_times_values(1);
        for (long c = 0; c < d_head; ++c) mean[c] = float(products[c]) / float(length);
        for (long i = 0; i < length; i += query_block) {
            const long n_rows = std::min(query_block, length - i);
            Vec maximum[query_block];
            std::fill_n(maximum, n_rows, set1(-INFINITY));
            gemm_int8(qkv.q + i * d + column, d, n_rows, keys, d_head / 4, padded,
                      [&](auto rows, long first, long c, const auto& acc) {
                          const Vec scale = load(qkv.k_scale + scales + c), offset = load(qkv.k_offset + scales + c);
#pragma GCC unroll 16
                          for (int m = 0; m < decltype(rows)::value; ++m) {
                              const Vec score = fma(to_float(acc(m)), scale, offset);
                              maximum[first + m] = max(maximum[first + m], score);
                              store(scores + (first + m) * padded + c, score);
                          }
                      });
            SoftmaxRow softmax[query_block];
            for (long r = 0; r < n_rows; ++r)
                softmax[r] = softmax_quantize(scores + r * padded, maximum[r], value_scale, padded,
                                              qkv.q_scale[scales + i + r], pattern + r * padded);
            pattern_times_values(n_rows);
            for (long r = 0; r < n_rows; ++r) {
                const Vec rounding_error = set1(softmax[r].rounding_error);
                const Vec scale = set1(max_v_scale / ACTIVATION_QMAX / softmax[r].sum);
                for (long c = 0; c < d_head; c += LANES)
                    store(out + (i + r) * d + column + c,
                          fma(rounding_error, load(mean + c), to_float(load_int(products + r * d_head + c))) * scale);
            }
        }
    }
}

// The output projection, the feed-forward block, and their norms. x is the layer's input and becomes its output.
static void ffn(const Int8Layer& l, float* x, long length, QuantizedRows& block, const float* attn_out) {
    const long d = l.d, f = l.f;
    float* resid_mid = scratch.alloc<float>(ROW_BLOCK * d);
    float* activated = scratch.alloc<float>(ROW_BLOCK * std::max(d, f));
    for_each_block(0, length, ROW_BLOCK, [&](long from, long rows) {
        float* resid = x + from * d;
        for (long r = 0; r < rows; ++r)
            block.quants[r] = quantize_activations(attn_out + (from + r) * d, d, block.values + r * d);
        block.gemm_dequant(l, OUTPUT, rows, [&](long r, long c, Vec y) {
            store(resid_mid + r * d + c, load(resid + r * d + c) + y);
        });
        const Affine& norm = l.norms[l.post ? 0 : 1];
        for (long r = 0; r < rows; ++r)
            block.quants[r] = layer_norm_quantize(resid_mid + r * d, d, norm.weight, norm.bias, l.eps,
                                                  l.post ? resid_mid + r * d : activated, block.values + r * d);
        block.gemm_dequant(l, FFN_INNER, rows,
                           [&](long r, long c, Vec y) { store(activated + r * f + c, fast_gelu(y)); });
        for (long r = 0; r < rows; ++r)
            block.quants[r] = quantize_activations(activated + r * f, f, block.values + r * f);
        block.gemm_dequant(l, FFN_OUTPUT, rows, [&](long r, long c, Vec y) {
            store(resid + r * d + c, load(resid_mid + r * d + c) + y);
        });
        if (l.post) layer_norm_rows(l.norms[1], l.eps, d, rows, resid);
    });
}

// Compute the input of the first layer: word vectors plus position embeddings, normalised if there is an embedding
// norm. Stores the word vectors in call.embedded and their sum in `sum`.
static void embed(const Int8Call& call, long first, long length, float* x, float* sum) {
    const long d = call.d_model;
    if (!call.embedding) {
        std::copy_n(call.x + first * d, length * d, x);
        return;
    }
    std::fill_n(sum, d, 0.0f);
    for (long r = 0; r < length; ++r) {
        const float* row = call.embedding + call.token_ids[first + r] * d;
        for (long c = 0; c < d; c += LANES) {
            const Vec vector = load(row + c);
            if (call.embedded) store(call.embedded + (first + r) * d + c, vector);
            store(sum + c, load(sum + c) + vector);
            store(x + r * d + c,
                  call.position_embedding ? vector + load(call.position_embedding + r * d + c) : vector);
        }
    }
    if (call.embedding_norm.weight) layer_norm_rows(call.embedding_norm, float(call.eps), d, length, x);
}

// The last layer and the final norm for the first token of a sequence only; its output replaces the first row of x.
// The attention is float32.
static void last_layer_first_token(const Int8Call& call, const Int8Layer& l, float* x, long length,
                                   QuantizedRows& block, float* attn_out) {
    const long d = l.d, n_heads = l.n_heads;
    const float* ln1_out = x;
    if (!l.post) {
        float* normalized = scratch.alloc<float>(length * d);
        std::copy_n(x, length * d, normalized);
        layer_norm_rows(l.norms[0], l.eps, d, length, normalized);
        ln1_out = normalized;
    }
    const FirstTokenState state{scratch.alloc<float>(d), scratch.alloc<float>(n_heads * d),
                                scratch.alloc<float>(n_heads * d), scratch.alloc<float>(n_heads * length), length};
    first_token_attention(l.linears, d, n_heads, ln1_out, length, state, attn_out);
    ffn(l, x, 1, block, attn_out);
    if (call.final_norm.weight) layer_norm_rows(call.final_norm, l.eps, d, 1, x);
}

// The final norm (in place) and the pooled features of transformer/models/heads.py. `sum`: of the word vectors.
static void final_norm_and_pool(const Int8Call& call, long first, long length, float* x, const float* sum,
                                float* pooled) {
    const long d = call.d_model;
    if (call.final_norm.weight) layer_norm_rows(call.final_norm, float(call.eps), d, length, x);
    if (call.out) std::copy_n(x, length * d, call.out + first * d);
    const Vec scale = set1(1 / float(length));
    for (long c = 0; c < d && pooled; c += LANES) {
        Vec total = zero(), maximum = set1(-INFINITY);
        for (long r = 0; r < length; ++r) {
            total = total + load(x + r * d + c);
            maximum = max(maximum, load(x + r * d + c));
        }
        store(pooled + c, total * scale);
        store(pooled + d + c, maximum);
        store(pooled + 2 * d + c, load(sum + c) * scale);
    }
}

static void encode_sequence(const Int8Call& call, long sequence) {
    const long first = call.cu_seqlens[sequence], length = call.cu_seqlens[sequence + 1] - first, d = call.d_model;
    const long padded = round_up(length, KEY_BLOCK), n_scales = call.n_heads * padded;
    scratch.clear();
    float* x = scratch.alloc<float>(length * d);
    float* sum = scratch.alloc<float>(d);
    float* attn_out = scratch.alloc<float>(length * d);
    QuantizedRows block{scratch.alloc<uint8_t>(ROW_BLOCK * std::max(d, call.d_ff)), {}};
    const QuantizedQkv qkv{scratch.alloc<uint8_t>(padded * d), scratch.alloc<int8_t>(padded * d),
                           scratch.alloc<int8_t>(padded * d),  scratch.alloc<float>(n_scales),
                           scratch.alloc<float>(n_scales),     scratch.alloc<float>(n_scales),
                           scratch.alloc<float>(n_scales),     padded};
    embed(call, first, length, x, sum);
    for (long i = 0; i < call.n_layers; ++i) {
        const Scratch::Mark mark = scratch.mark();
        const Int8Layer layer(call, i);
        if (call.first_token && i == call.n_layers - 1) {
            last_layer_first_token(call, layer, x, length, block, attn_out);
            std::copy_n(x, d, call.first_token + sequence * d);
            return;
        }
        project_qkv(layer, x, length, block, qkv);
        attention(layer, length, qkv, attn_out);
        ffn(layer, x, length, block, attn_out);
        scratch.rewind(mark);
    }
    final_norm_and_pool(call, first, length, x, sum, call.pooled ? call.pooled + sequence * 3 * d : nullptr);
}

static void encode(const Int8Call& call) {
    const long items = (5 * call.d_model + call.d_ff) / LANES;
    parallel_for_dynamic(call.n_threads, call.n_layers * items,
                         [&](long item) { pack_weights(Int8Layer(call, item / items), item % items); });
    parallel_for_dynamic(call.n_threads, call.n_seqs, [&](long sequence) { encode_sequence(call, sequence); });
}

}  // namespace vecformer

extern "C" EXPORTED void vecformer_int8_encoder(const vecformer::Int8Call* call) { vecformer::encode(*call); }
