// A layer for the first word of each text alone, forward and backward.
#include "first_token.h"

#include "layer.h"

namespace vecformer {

// As transformer/kernels/native/__init__.py fills it in; N rows, T texts, H heads, width d.
struct FirstWord {
    Layer layer;  // of the first words, all that comes behind the attention: T rows
    int64_t n_rows;
    const float* x;         // (N, d)
    float* looked;          // (N, d): x behind the norm before the branch; x itself if there is none
    float* moments;         // (N, 2): of that norm
    float* begin;           // (T, d): the first rows of x
    float *query, *asked;   // (T, d), scaled; (T, H, d): what each head looks for
    float *pattern, *seen;  // (H, N): softmax's weights; (T, H, d): sums of what is looked at
    float* of_x;            // (N, d)

    long d_head() const { return layer.d / layer.n_heads; }
    float* of_head(float* from, long text, long head) const { return from + (text * layer.n_heads + head) * layer.d; }
    // Texts of a thread, the same ones however fast it is, with about as many words as any other's.
    long first_text(long part) const {
        const int64_t* starts = layer.starts;
        return std::lower_bound(starts, starts + layer.n_texts, n_rows * part / layer.n_threads) - starts;
    }
};

// Calls work(thread, text, its first row, length) for all texts, side by side.
template <class Work>
static void share_texts(const FirstWord& w, const Work& work) {
    parallel(w.layer.n_threads, [&](long part) {
        for (long text = w.first_text(part); text < w.first_text(part + 1); ++text) {
            const long first = w.layer.starts[text];
            scratch.clear();
            work(part, text, first, w.layer.starts[text + 1] - first);
        }
    });
}

static void look(const FirstWord& w, long text, long first, long length) {
    const Layer& l = w.layer;
    const long d = l.d;
    const Part& norm = l.norms[l.outer_norm()];
    float* const y = w.looked + first * d;
    for (long j = 0; j < length && !l.post; ++j)
        normalise(w.x + (first + j) * d, d, norm.weight, norm.bias, float(l.eps), w.moments + 2 * (first + j),
                  y + j * d);
    std::copy_n(w.x + first * d, d, w.begin + text * d);
    float* mixed = scratch.take<float>(d);
    attend_first(
        l.linears, d, l.n_heads, y, length,
        {w.query + text * d, w.of_head(w.asked, text, 0), w.of_head(w.seen, text, 0), w.pattern + first, w.n_rows},
        mixed);
    for (long c = 0; c < d; c += LANES) store(l.mixed + text * d + c, load(mixed + c));
}

static void look_backward(const FirstWord& w, const Sums& sums, long text, long first, long length) {
    const Layer& l = w.layer;
    const long d = l.d, d_head = w.d_head();
    const float *const y = w.looked + first * d, *const query = w.query + text * d;
    float* const of_y = w.of_x + first * d;
    float* grad = scratch.take<float>(d);
    float* of_seen = scratch.take<float>(d);
    float* of_asked = scratch.take<float>(d);
    float* of_query = scratch.take<float>(d);
    float* of_scores = scratch.take<float>(length);
    for (long c = 0; c < d; c += LANES) store(grad + c, load(l.of_mixed + text * d + c));
    add_times(1, grad, d, sums.linears[VALUE].bias);
    std::fill_n(of_y, length * d, 0.0f);
    for (long h = 0; h < l.n_heads; ++h) {
        const float *const asked = w.of_head(w.asked, text, h), *const seen = w.of_head(w.seen, text, h);
        const float* const pattern = w.pattern + h * w.n_rows + first;
        std::fill_n(of_seen, d, 0.0f);
        std::fill_n(of_asked, d, 0.0f);
        for (long e = h * d_head; e < (h + 1) * d_head; ++e) {
            add_times(grad[e], l.linears[VALUE].weight + e * d, d, of_seen);
            add_times(grad[e], seen, d, sums.linears[VALUE].weight + e * d);
        }
        float mean = 0;
        for (long j = 0; j < length; ++j) {
            of_scores[j] = product_of(of_seen, y + j * d, d);
            mean += pattern[j] * of_scores[j];
        }
        for (long j = 0; j < length; ++j) {
            const float of_score = pattern[j] * (of_scores[j] - mean);
            add_times(of_score, y + j * d, d, of_asked);
            add_times(pattern[j], of_seen, d, of_y + j * d);
            add_times(of_score, asked, d, of_y + j * d);
        }
        for (long e = h * d_head; e < (h + 1) * d_head; ++e) {
            add_times(query[e], of_asked, d, sums.linears[KEY].weight + e * d);
            of_query[e] = product_of(l.linears[KEY].weight + e * d, of_asked, d);
        }
    }
    add_times(1, of_query, d, sums.linears[QUERY].bias);
    for (long e = 0; e < d; ++e) {
        add_times(of_query[e], y, d, sums.linears[QUERY].weight + e * d);
        add_times(of_query[e] * l.scale(), l.linears[QUERY].weight + e * d, d, of_y);
    }
    const long norm = l.outer_norm();
    for (long j = 0; j < length && !l.post; ++j)
        normalise_backward(of_y + j * d, w.x + (first + j) * d, d, l.norms[norm].weight, w.moments + 2 * (first + j),
                           nullptr, of_y + j * d, sums.norms[norm].weight, sums.norms[norm].bias);
    add_times(1, l.of_x + text * d, d, of_y);
}

static void forward(const FirstWord& w) {
    pack_forward(w.layer);
    drop(w.layer);
    share_texts(w, [&](long, long text, long first, long length) { look(w, text, first, length); });
    share(w.layer, forward_after);
}

static void backward(const FirstWord& w) {
    pack_backward(w.layer);
    forget(w.layer);
    share_sums(w.layer, backward_after);
    share_texts(w, [&](long part, long text, long first, long length) {
        look_backward(w, Sums(w.layer, part), text, first, length);
    });
    add_up(w.layer);
}

}  // namespace vecformer

extern "C" {
EXPORTED void vecformer_first_word(const vecformer::FirstWord* call) { vecformer::forward(*call); }
EXPORTED void vecformer_first_word_backward(const vecformer::FirstWord* call) { vecformer::backward(*call); }
}
