// One step of AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101), and of a moving average of the weights.
#pragma once
#include <cmath>

#include "simd.h"

namespace vecformer {

struct AdamW {
    Vec beta1_complement, beta2, beta2_complement, eps;  // complement: 1 - beta
    Vec decay;                                           // 1 - lr weight_decay
    Vec step_size;                                       // lr / (1 - beta1^t)
    Vec inv_sqrt_bias_correction2;                       // 1 / sqrt(1 - beta2^t)
    Vec average_rate;                                    // 1 - decay of the average

    AdamW(double beta1, double beta2, double eps, double lr, double weight_decay, double t, double ema_decay)
        : beta1_complement(set1(float(1 - beta1))),
          beta2(set1(float(beta2))),
          beta2_complement(set1(float(1 - beta2))),
          eps(set1(float(eps))),
          decay(set1(float(1 - lr * weight_decay))),
          step_size(set1(float(lr / (1 - std::pow(beta1, t))))),
          inv_sqrt_bias_correction2(set1(float(1 / std::sqrt(1 - std::pow(beta2, t))))),
          average_rate(set1(float(1 - ema_decay))) {}

    // Update n elements.
    void update(long n, const float* grad, float* weight, float* exp_avg, float* exp_avg_sq, float* average) const {
        for (long i = 0; i < n; i += LANES) {
            const Mask mask = mask_first(n - i);
            const Vec g = load(grad + i, mask), last = load(average + i, mask);
            Vec m = load(exp_avg + i, mask), v = load(exp_avg_sq + i, mask);
            m = fma(beta1_complement, g - m, m);
            v = fma(beta2_complement, g * g, v * beta2);
            const Vec denominator = fma(sqrt(v), inv_sqrt_bias_correction2, eps);
            const Vec updated = load(weight + i, mask) * decay - m / denominator * step_size;
            store(exp_avg + i, mask, m);
            store(exp_avg_sq + i, mask, v);
            store(weight + i, mask, updated);
            store(average + i, mask, fma(average_rate, updated - last, last));
        }
    }
};

}  // namespace vecformer
