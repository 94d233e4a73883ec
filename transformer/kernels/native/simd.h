// A vector of LANES floats for the target instruction set, and functions of such vectors.
#pragma once
#ifdef __AVX512F__
#include "avx512.h"
#else
#include "avx2.h"
#endif

namespace vecformer {

constexpr float LOG2_E = 1.44269504088896341f;

inline long round_up(long n, long multiple) { return (n + multiple - 1) / multiple * multiple; }

// 2^x. Relative error 1e-7, or 3e-6 if FAST_MATH (bfloat16 has 2e-3). The polynomials minimise the largest relative
// error over [-0.5, 0.5]. exp2(-infinity) may be NaN.
template <bool FAST_MATH>
inline Vec exp2(Vec x) {
    const Vec n = rint(x), r = x - n;
    Vec p;
    if (FAST_MATH) {
        p = fma(set1(9.5701e-3f), r, set1(5.591786e-2f));
        p = fma(p, r, set1(2.4024745e-1f));
        p = fma(p, r, set1(6.9312181e-1f));
        p = fma(p, r, set1(9.9999926e-1f));
    } else {
        p = fma(set1(1.53458076e-4f), r, set1(1.33999313e-3f));
        p = fma(p, r, set1(9.61848897e-3f));
        p = fma(p, r, set1(5.55032878e-2f));
        p = fma(p, r, set1(2.40226469e-1f));
        p = fma(p, r, set1(6.93147206e-1f));
        p = fma(p, r, set1(1.0f));
    }
    return scalbn(p, n);
}

struct ValueAndGrad {
    Vec value, grad;
};

// GELU, x Phi(x) (Hendrycks & Gimpel 2016, arXiv 1606.08415), and its derivative. Phi is approximated by Abramowitz &
// Stegun 7.1.26, absolute error 1e-7.
template <bool FAST_MATH>
inline ValueAndGrad gelu(Vec x) {
    const Vec z = abs(x) * set1(0.70710678f);
    const Vec exponent = x * x * set1(-0.5f * LOG2_E);
    const Vec e = exp2<FAST_MATH>(max(exponent, set1(-150.0f)));  // exp(-x^2 / 2)
    const Vec d = fma(z, set1(0.3275911f), set1(1.0f));
    Vec t = approx_reciprocal(d);
    t = t * fma(-d, t, set1(2.0f));  // one Newton-Raphson step
    Vec p = fma(set1(1.061405429f), t, set1(-1.453152027f));
    p = fma(p, t, set1(1.421413741f));
    p = fma(p, t, set1(-0.284496736f));
    p = fma(p, t, set1(0.254829592f));
    const Vec tail = p * t * (e * set1(0.5f));  // 1 - Phi(|x|)
    const Vec phi = x >= zero() ? set1(1.0f) - tail : tail;
    return {x * phi, fma(x * e, set1(0.39894228f), phi)};
}

}  // namespace vecformer
