// Matrix products on matrix units (AMX), for operands in bfloat16.
//
// A tile register has 16 rows of 64 bytes. TDPBF16PS multiplies 16 x 16 pairs of A, row-major, by 16 x 16 pairs of B,
// which lie in memory as in a packed panel (gemm.h), and adds the product to 16 x 16 floats of C.
#pragma once

namespace vecformer {
inline bool use_matrix_units = false;  // set by vecformer_use_matrix_units
}

#if defined(__AVX512BF16__) && defined(__linux__) && defined(__has_include)
#if __has_include(<amxbf16intrin.h>)
#define VECFORMER_AMX
#endif
#endif

#ifdef VECFORMER_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "gemm_bf16.h"
#include "threads.h"

#define AMX_FUNCTION __attribute__((target("amx-tile,amx-bf16")))

namespace vecformer {

constexpr long TILE = 16;  // rows of a tile, and its 32-bit columns

// Packed elements of B from which tiles save more than they take to set up. The number of rows does not matter, so that
// a row does not depend on the block that it is in.
constexpr long MIN_AMX_SIZE = 2048;

// Whether the processor has matrix units, if the system lets this process use them. Asks for it (Linux 5.16).
inline bool request_matrix_units() {
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return false;
    const unsigned amx_bf16 = 1u << 22, amx_tile = 1u << 24;
    if (!(edx & amx_bf16) || !(edx & amx_tile)) return false;
    constexpr long request = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, request, tile_data) == 0;
}

// Shapes of the tile registers: C in 0 to 3 (2 x 2 tiles), A in 4 and 5, B in 6 and 7. A register of no rows is unused.
struct alignas(64) TileShapes {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};

    TileShapes(long first_rows, long second_rows, long pairs) {
        const long rows_of[] = {first_rows, first_rows, second_rows, second_rows, first_rows, second_rows, pairs, pairs};
        for (long i = 0; i < 8; ++i) {
            rows[i] = uint8_t(rows_of[i]);
            row_bytes[i] = uint16_t(rows_of[i] ? 4 * (i == 4 || i == 5 ? pairs : TILE) : 0);
        }
    }
};

// C = A B, or C += A B, for ROWS x PANELS tiles and `steps` tiles along k.
template <int ROWS, int PANELS>
AMX_FUNCTION void multiply_tiles(const Packed* a, long a_stride, const Packed* b, long panel_stride, long steps,
                                 float* c, long c_stride, bool accumulate) {
    const long a_bytes = 4 * a_stride, b_bytes = 4 * LANES, c_bytes = 4 * c_stride;
    if (accumulate) {
        _tile_loadd(0, c, c_bytes);
        if (PANELS == 2) _tile_loadd(1, c + TILE, c_bytes);
        if (ROWS == 2) _tile_loadd(2, c + TILE * c_stride, c_bytes);
        if (ROWS == 2 && PANELS == 2) _tile_loadd(3, c + TILE * c_stride + TILE, c_bytes);
    } else {
        _tile_zero(0);
        if (PANELS == 2) _tile_zero(1);
        if (ROWS == 2) _tile_zero(2);
        if (ROWS == 2 && PANELS == 2) _tile_zero(3);
    }
    for (long i = 0; i < steps; ++i, a += TILE, b += TILE * LANES) {
        _tile_loadd(4, a, a_bytes);
        _tile_loadd(6, b, b_bytes);
        _tile_dpbf16ps(0, 4, 6);
        if (PANELS == 2) {
            _tile_loadd(7, b + panel_stride, b_bytes);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (ROWS == 2) {
            _tile_loadd(5, a + TILE * a_stride, a_bytes);
            _tile_dpbf16ps(2, 5, 6);
            if (PANELS == 2) _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, c, c_bytes);
    if (PANELS == 2) _tile_stored(1, c + TILE, c_bytes);
    if (ROWS == 2) _tile_stored(2, c + TILE * c_stride, c_bytes);
    if (ROWS == 2 && PANELS == 2) _tile_stored(3, c + TILE * c_stride + TILE, c_bytes);
}

// C = A B, or C += A B if `accumulate`. A is row-major; n_columns is a multiple of LANES. The shapes of the tiles differ
// for the last rows and for the last packed elements along k.
AMX_FUNCTION inline void gemm_amx(const Packed* a, long a_stride, long n_rows, const Packed* b, long panel_stride,
                                  long k, long n_columns, float* c, long c_stride, bool accumulate) {
    for (long i = 0, pairs, steps; i < k; i += steps * pairs, accumulate = true) {
        pairs = std::min(TILE, k - i);
        steps = (k - i) / pairs;
        for (long first = 0, rows; first < n_rows; first += rows) {
            rows = n_rows - first < 2 * TILE ? n_rows - first : (n_rows - first) / (2 * TILE) * (2 * TILE);
            const TileShapes shapes(std::min(TILE, rows), std::clamp(rows - TILE, 0L, TILE), pairs);
            asm volatile("" ::: "memory");  // the compiler does not know what tile instructions read
            _tile_loadconfig(&shapes);
            for (long n = 0; n < n_columns; n += 2 * LANES) {
                const bool two = n + LANES < n_columns;
                const auto kernel = rows > TILE ? two ? multiply_tiles<2, 2> : multiply_tiles<2, 1>
                                    : two       ? multiply_tiles<1, 2>
                                                : multiply_tiles<1, 1>;
                for (long m = first; m < first + rows; m += 2 * TILE)
                    kernel(a + m * a_stride + i, a_stride, b + n / LANES * panel_stride + i * LANES, panel_stride,
                           steps, c + m * c_stride + n, c_stride, accumulate);
            }
        }
    }
    _tile_release();
}

// C += A^T B, both packed; n_rows (of C) and n_columns are multiples of LANES.
inline void gemm_tn_amx(const Packed* a, long n_rows, const Packed* b, long k, long n_columns, float* c,
                        long c_stride) {
    const Scratch::Mark mark = scratch.mark();
    const long stride = round_up(k, TILE);
    Packed* rows = scratch.alloc<Packed>(2 * TILE * stride);
    for (long first = 0; first < n_rows; first += 2 * TILE) {
        const long n = std::min(2 * TILE, n_rows - first);
        for (long m = 0; m < n; m += TILE)
            for (long i = 0; i < k; i += TILE) {
                __m512i block[TILE];
                for (long j = 0; j < TILE; ++j)
                    block[j] = i + j < k ? _mm512_loadu_si512(a + (first + m) * k + (i + j) * LANES)
                                         : _mm512_setzero_si512();
                transpose(block);
                for (long j = 0; j < TILE; ++j) _mm512_storeu_si512(rows + (m + j) * stride + i, block[j]);
            }
        gemm_amx(rows, stride, n, b, k * LANES, k, n_columns, c + first * c_stride, c_stride, true);
    }
    scratch.rewind(mark);
}

}  // namespace vecformer
#endif
