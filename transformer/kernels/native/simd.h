// Several floats at once, V of LANES, as the processor has them, and what is computed with them everywhere.
#pragma once
#ifdef __AVX512F__
#include "avx512.h"
#else
#include "avx2.h"
#endif

namespace vecformer {

constexpr float LOG2_E = 1.44269504088896341f;

inline long rounded_up(long n, long step) { return (n + step - 1) / step * step; }

// 2^x, to 1e-7 of it, or to 3e-6, far finer than bfloat16's 2e-3, if ROUGH. The terms are fitted, by the largest
// relative error. Of minus infinity it may be NaN.
template <bool ROUGH>
inline V exp2(V x) {
    const V whole = rounded(x), rest = x - whole;
    V sum;
    if (ROUGH) {
        sum = fma(all(9.5701e-3f), rest, all(5.591786e-2f));
        sum = fma(sum, rest, all(2.4024745e-1f));
        sum = fma(sum, rest, all(6.9312181e-1f));
        sum = fma(sum, rest, all(9.9999926e-1f));
    } else {
        sum = fma(all(1.53458076e-4f), rest, all(1.33999313e-3f));
        sum = fma(sum, rest, all(9.61848897e-3f));
        sum = fma(sum, rest, all(5.55032878e-2f));
        sum = fma(sum, rest, all(2.40226469e-1f));
        sum = fma(sum, rest, all(6.93147206e-1f));
        sum = fma(sum, rest, all(1.0f));
    }
    return times_two_to(sum, whole);
}

struct Bent {
    V value, slope;
};

// GELU, x Phi(x) (Hendrycks & Gimpel 2016), and its derivative. Phi is by Abramowitz & Stegun 7.1.26, to 1e-7.
template <bool ROUGH>
inline Bent gelu(V x) {
    const V far = magnitude(x) * all(0.70710678f);
    const V power = x * x * all(-0.5f * LOG2_E);
    const V e = exp2<ROUGH>(max(power, all(-150.0f)));  // exp(-x^2 / 2)
    const V d = fma(far, all(0.3275911f), all(1.0f));
    V t = rough_inverse(d);
    t = t * fma(-d, t, all(2.0f));  // one step of Newton's
    V sum = fma(all(1.061405429f), t, all(-1.453152027f));
    sum = fma(sum, t, all(1.421413741f));
    sum = fma(sum, t, all(-0.284496736f));
    sum = fma(sum, t, all(0.254829592f));
    const V tail = sum * t * (e * all(0.5f));  // 1 - Phi(|x|)
    const V phi = x >= zeros() ? all(1.0f) - tail : tail;
    return {x * phi, fma(x * e, all(0.39894228f), phi)};
}

}  // namespace vecformer
