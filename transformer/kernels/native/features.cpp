// The layers of an encoder, the norm after them and pooling as one call: PyTorch's bookkeeping between the layers takes as
// long as a small layer.
#include <vector>

#include "layer.h"
#include "pooling.h"

namespace vecformer {

// Cuts arrays out of memory, one after another; without memory, it only counts.
class Arrays {
public:
    explicit Arrays(char* memory) : memory_(memory) {}

    template <class T>
    void cut(long n, T*& array) {
        array = memory_ ? reinterpret_cast<T*>(memory_ + size_) : nullptr;
        size_ += round_up(n * long(sizeof(T)), 64);
    }
    long size() const { return size_; }

private:
    char* memory_;
    long size_ = 0;
};

// All arrays of a call.
struct Encoder {
    std::vector<Layer> layers;
    Pooling pooling;
    float *hidden, *norm_stats = nullptr;  // (N, d), (N, 2): the output after the last norm, and the statistics of that norm
    float* d_hidden;             // (N, d)
    float *d_norm, *dout;        // (n_threads, 2 d): gradients of the norm's weight and bias; (N, d): of its input
    long size;

    explicit Encoder(const Features& call) : layers(call.n_layers, call.layer), pooling() {
        const long n = call.layer.n_rows, d = call.layer.d_model, f = call.layer.d_ff, heads = call.layer.n_heads;
        const long n_weights = 4 * d * d + 2 * d * f + 9 * d + f;
        Arrays arrays(call.memory);
        Packed* packed_weights;
        Activation *d_attn_out, *d_qkv;
        float* gradients[2];  // of the layers' outputs, in turns
        arrays.cut((4 * d * d + 2 * d * f) / K_PACK, packed_weights);
        arrays.cut(n * d, d_attn_out), arrays.cut(n * 3 * d, d_qkv);
        for (float*& gradient : gradients) arrays.cut(n * d, gradient);
        for (long i = 0; i < call.n_layers; ++i) {
            Layer& l = layers[i];
            l.weights = call.weights[i], l.seed = call.seeds[i];
            l.packed_weights = packed_weights, l.d_attn_out = d_attn_out, l.d_qkv = d_qkv;
            if (i) l.x = layers[i - 1].out, l.dx = gradients[i % 2];
            l.dout = gradients[(i + 1) % 2];
            l.d_weights = call.d_weights + i * l.n_threads * n_weights;
            arrays.cut(n * d, l.resid_mid), arrays.cut(n * d, l.out), arrays.cut(2 * n * 2, l.norm_stats);
            l.ffn_resid = l.resid_mid, l.resid_out = l.out;
            if (l.post) arrays.cut(n * d, l.ffn_resid), arrays.cut(n * d, l.resid_out);
            arrays.cut(heads * n, l.lse), arrays.cut(n * d, l.ln1_out), arrays.cut(n * 3 * d, l.qkv);
            arrays.cut(n * d, l.attn_out), arrays.cut(n * d, l.ln2_out);
            arrays.cut(n * f, l.activated), arrays.cut(n * f, l.activation_grad);
            if (l.dropout_threshold) arrays.cut((n * (2 * d + f) + 63) / 64 * 8, l.dropout_mask);
        }
        d_norm = call.d_weights + call.n_layers * call.layer.n_threads * n_weights;
        hidden = layers.back().out, d_hidden = dout = gradients[call.n_layers % 2];
        if (call.norm.weight) arrays.cut(n * d, hidden), arrays.cut(n * d, d_hidden), arrays.cut(n * 2, norm_stats);
        pooling.n_seqs = call.layer.n_seqs, pooling.width = d, pooling.n_threads = call.layer.n_threads;
        pooling.cu_seqlens = call.layer.cu_seqlens, pooling.hidden = hidden, pooling.embedded = call.embedded;
        pooling.pooled = call.pooled, pooling.d_pooled = call.d_pooled;
        pooling.d_hidden = d_hidden, pooling.d_embedded = call.d_embedded;
        arrays.cut(pooling.n_seqs * d, pooling.argmax);
        size = arrays.size();
    }
};

static void forward(const Features& call) {
    const Encoder encoder(call);
    for (const Layer& l : encoder.layers) forward(l);
    if (call.norm.weight) {
        const Layer& last = encoder.layers.back();
        parallel_rows(last, [&](const Layer& l, long first, long n_rows) {
            for (long r = first; r < first + n_rows; ++r)
                layer_norm(l.out + r * l.d_model, l.d_model, call.norm.weight, call.norm.bias, float(l.eps),
                           encoder.norm_stats + 2 * r, encoder.hidden + r * l.d_model);
        });
    }
    pool(encoder.pooling);
}

// From the gradient of the norm's output to that of the last layer's output, and of the norm's weights.
static void norm_backward(const Features& call, const Encoder& encoder) {
    const Layer& last = encoder.layers.back();
    const long d = last.d_model;
    parallel_for(last.n_threads, [&](long thread) {
        float* d_weight = encoder.d_norm + thread * 2 * d;
        std::fill_n(d_weight, 2 * d, 0.0f);
        for (long r = first_row(last, thread); r < first_row(last, thread + 1); ++r)
            layer_norm_backward(encoder.d_hidden + r * d, last.out + r * d, d, call.norm.weight,
                                encoder.norm_stats + 2 * r, nullptr, encoder.dout + r * d, d_weight, d_weight + d);
    });
    for (long thread = 1; thread < last.n_threads; ++thread)
        axpy(1, encoder.d_norm + thread * 2 * d, 2 * d, encoder.d_norm);
}

static void backward(const Features& call) {
    const Encoder encoder(call);
    pool_backward(encoder.pooling);
    if (call.norm.weight) norm_backward(call, encoder);
    for (long i = call.n_layers - 1; i >= 0; --i) backward(encoder.layers[i]);
}

}  // namespace vecformer

extern "C" {
EXPORTED void vecformer_features_size(vecformer::Features* call) { call->memory_size = vecformer::Encoder(*call).size; }
EXPORTED void vecformer_features(const vecformer::Features* call) { vecformer::forward(*call); }
EXPORTED void vecformer_features_backward(const vecformer::Features* call) { vecformer::backward(*call); }
}
