// Matrix products of eight bits a number: of activations, whose rows have a scale each, by weights, whose columns do.
#pragma once
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "simd.h"

namespace vecformer {

// MR rows and LANES NV columns of A B. A has rows of bytes, `row` apart; B is in panels of LANES columns, each with the
// fours of successive terms; the number of fours is even. Inlined, its sums would not stay in registers.
template <int MR, int NV>
__attribute__((noinline)) void byte_tile(const uint8_t* a, long row, const int32_t* b, long panel, long fours,
                                         Bytes found[MR][NV]) {
    Bytes sum[MR][NV] = {};
    for (long k = 0; k < fours; k += 2, a += 8, b += 2 * LANES) {
        Bytes right[2][NV];
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) {
            right[0][v] = bytes_at(b + v * panel);
            right[1][v] = bytes_at(b + v * panel + LANES);
        }
#pragma GCC unroll 16
        for (int m = 0; m < MR; ++m) {
            const Bytes left = four_everywhere(a + m * row), next = four_everywhere(a + m * row + 4);
#pragma GCC unroll 4
            for (int v = 0; v < NV; ++v) sum[m][v] = dot(sum[m][v], left, right[0][v], next, right[1][v]);
        }
    }
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m)
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) found[m][v] = sum[m][v];
}

constexpr int BYTE_WIDE = 2, BYTE_TALL = LANES == 16 ? 12 : 4;

// Calls work(rows, first) for as many rows as a tile has, as a constant, as long as there are so many, and then singly.
template <class Work>
inline void in_tiles(long n_rows, const Work& work) {
    long m = 0;
    for (; m + BYTE_TALL <= n_rows; m += BYTE_TALL) work(std::integral_constant<int, BYTE_TALL>(), m);
    if (BYTE_TALL > 4)
        for (; m + 4 <= n_rows; m += 4) work(std::integral_constant<int, 4>(), m);
    for (; m < n_rows; ++m) work(std::integral_constant<int, 1>(), m);
}

// C = A B, with all of B's panels, by calling put(row, column, sums); n_columns is a multiple of LANES.
template <class Put>
void multiply_bytes(const uint8_t* a, long row, long n_rows, const int32_t* b, long fours, long n_columns,
                    const Put& put) {
    const long panel = fours * LANES;
    const auto columns = [&](auto vectors, long n) {
        constexpr int NV = decltype(vectors)::value;
        in_tiles(n_rows, [&](auto rows, long first) {
            constexpr int MR = decltype(rows)::value;
            Bytes sum[MR][NV];
            byte_tile<MR, NV>(a + first * row, row, b + n / LANES * panel, panel, fours, sum);
#pragma GCC unroll 4
            for (int v = 0; v < NV; ++v) put(rows, first, n + v * LANES, [&](int m) { return sum[m][v]; });
        });
    };
    long n = 0;
    for (; n + BYTE_WIDE * LANES <= n_columns; n += BYTE_WIDE * LANES)
        columns(std::integral_constant<int, BYTE_WIDE>(), n);
    for (; n < n_columns; n += LANES) columns(std::integral_constant<int, 1>(), n);
}

// Writes the whole numbers next to row[c] times `times` + shift, which are in the range of bytes, SIGNED or not, and
// returns their sum.
template <bool SIGNED>
float write_bytes(const float* row, long width, float times, float shift, void* to) {
    uint8_t* at = static_cast<uint8_t*>(to);
    Bytes sum{};
    const auto number = [&](long c) {
        const Bytes x = whole(fma(load(row + c), all(times), all(shift)));
        sum = plus(sum, x);
        return x;
    };
    long c = 0;
    for (; c + 4 * LANES <= width; c += 4 * LANES) {
        const Bytes x[4] = {number(c), number(c + LANES), number(c + 2 * LANES), number(c + 3 * LANES)};
        store_bytes<SIGNED>(at + c, x);
    }
    for (; c < width; c += LANES) store_bytes(at + c, number(c));
    return sum_of(floats(sum));
}

// What the bytes of a row stand for: low + scale times each.
struct Range {
    float scale, low;
};

// A row of activations as bytes; `most` and `least` are the largest and the smallest of each lane.
inline Range to_bytes(const float* row, long width, V most, V least, uint8_t* to) {
    const float low = least_of(least), scale = std::max((most_of(most) - low) / MOST, 1e-30f);
    write_bytes<false>(row, width, 1 / scale, -low / scale, to);
    return {scale, low};
}

inline Range to_bytes(const float* row, long width, uint8_t* to) {
    V most = load(row), least = most;
    for (long c = LANES; c < width; c += LANES) {
        most = max(most, load(row + c));
        least = min(least, load(row + c));
    }
    return to_bytes(row, width, most, least, to);
}

// LayerNorm of a row, as bytes; `y` takes it as floats.
inline Range normalise_to_bytes(const float* x, long width, const float* weight, const float* bias, float eps, float* y,
                                uint8_t* to) {
    V sum = zeros(), squares = zeros();
    for (long c = 0; c < width; c += LANES) {
        const V each = load(x + c);
        sum = sum + each;
        squares = fma(each, each, squares);
    }
    const float mean = sum_of(sum) / float(width);
    const float inverse = 1 / std::sqrt(std::max(0.0f, sum_of(squares) / float(width) - mean * mean) + eps);
    const V times = all(inverse), shift = all(-mean * inverse);
    V most = all(-INFINITY), least = all(INFINITY);
    for (long c = 0; c < width; c += LANES) {
        const V each = fma(fma(load(x + c), times, shift), load(weight + c), load(bias + c));
        store(y + c, each);
        most = max(most, each);
        least = min(least, each);
    }
    return to_bytes(y, width, most, least, to);
}

struct Steps {
    float size, sum;  // what one stands for, and the sum of their numbers
};

// A row as whole numbers from -`most` to `most`, `shift` added.
template <bool SIGNED>
Steps to_steps(const float* row, long width, int most, int shift, void* to) {
    V reach = zeros();
    for (long c = 0; c < width; c += LANES) reach = max(reach, magnitude(load(row + c)));
    const float size = std::max(most_of(reach) / float(most), 1e-30f);
    return {size, write_bytes<SIGNED>(row, width, 1 / size, float(shift), to)};
}

using Ints = int32_t __attribute__((vector_size(4 * LANES)));

// 2^x, to 2e-3 of it, for x up to 0; below 2^-126 it stays there. The whole part of x is in the lowest bits of a large
// number that it is added to.
inline V rough_exp2(V x) {
    const V large = all(12582912.0f);  // 1.5 times 2^23
    const V low = max(x, all(-126.0f)), at = low + large, rest = low - (at - large);
    const V sum = fma(fma(all(0.23842876f), rest, all(0.70344802f)), rest, all(1.00044317f));
    return (V)((Ints)sum + ((Ints)at << 23));
}

// GELU to 4e-3: Phi by a polynomial within 3.2 deviations, fitted to the value's largest error.
inline V rough_gelu(V x) {
    const V near = min(max(x, all(-3.2f)), all(3.2f)), square = near * near;
    V sum = fma(all(1.33577151e-5f), square, all(-4.80584375e-4f));
    sum = fma(sum, square, all(7.23018318e-3f));
    sum = fma(sum, square, all(-6.13885789e-2f));
    sum = fma(sum, square, all(0.395730412f));
    return x * fma(sum, near, all(0.5f));
}

}  // namespace vecformer
