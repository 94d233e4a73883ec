// Matrix products of eight bits a number: of activations, whose rows have a scale each, by weights, whose columns do.
#pragma once
#include <algorithm>
#include <utility>

#include "vector.h"

namespace vecformer {

// MR rows and LANES NV columns of C = A B. A has rows of bytes, `row` apart; B is in panels of LANES columns, each with
// the fours of successive terms; the number of fours is even.
template <int MR, int NV>
void byte_tile(const uint8_t* a, long row, const int32_t* b, long panel, long fours, int32_t* c, long stride) {
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
        for (int v = 0; v < NV; ++v) store(c + m * stride + v * LANES, sum[m][v]);
}

using ByteTile = void (*)(const uint8_t*, long, const int32_t*, long, long, int32_t*, long);

constexpr long BYTE_WIDE = 2, BYTE_TALL = LANES == 16 ? 12 : 4;

template <int... M>
ByteTile byte_tile_of(long rows, long vectors, std::integer_sequence<int, M...>) {
    static constexpr ByteTile tiles[][2] = {{byte_tile<M + 1, 1>, byte_tile<M + 1, 2>}...};
    return tiles[rows - 1][vectors - 1];
}

// C = A B, with all of B's panels; n_columns is a multiple of LANES.
inline void multiply_bytes(const uint8_t* a, long row, long n_rows, const int32_t* b, long panel, long fours,
                           long n_columns, int32_t* c, long stride) {
    for (long n = 0; n < n_columns; n += BYTE_WIDE * LANES) {
        const long vectors = std::min(BYTE_WIDE, (n_columns - n) / LANES);
        for (long m = 0; m < n_rows; m += BYTE_TALL)
            byte_tile_of(std::min(BYTE_TALL, n_rows - m), vectors, std::make_integer_sequence<int, BYTE_TALL>())(
                a + m * row, row, b + n / LANES * panel, panel, fours, c + m * stride + n, stride);
    }
}

// What the bytes of a row stand for: low + scale times each.
struct Range {
    float scale, low;
};

// A row of activations as bytes.
inline Range to_bytes(const float* row, long width, uint8_t* to) {
    V most = load(row), least = most;
    for (long c = LANES; c < width; c += LANES) {
        most = max(most, load(row + c));
        least = min(least, load(row + c));
    }
    const float low = least_of(least), scale = std::max((most_of(most) - low) / MOST, 1e-30f);
    const V times = all(1 / scale), shift = all(-low / scale);
    for (long c = 0; c < width; c += LANES) store_bytes(to + c, fma(load(row + c), times, shift));
    return {scale, low};
}

// The largest magnitude of a row.
inline float reach(const float* row, long width) {
    V most = zeros();
    for (long c = 0; c < width; c += LANES) most = max(most, magnitude(load(row + c)));
    return most_of(most);
}

// A row as whole numbers from -`steps` to `steps`, `shift` added; returns what one step stands for.
inline float to_steps(const float* row, long width, int steps, int shift, void* to) {
    const float scale = std::max(reach(row, width) / float(steps), 1e-30f);
    for (long c = 0; c < width; c += LANES)
        store_bytes(static_cast<uint8_t*>(to) + c, fma(load(row + c), all(1 / scale), all(float(shift))));
    return scale;
}

}  // namespace vecformer
