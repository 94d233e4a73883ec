// Functions that are called when the library is loaded.
#include "calls.h"
#include "gemm.h"
#include "threads.h"

extern "C" {
// The ABI version and the sizes of all structures in calls.h, in their order, followed by 0.
EXPORTED const int64_t* vecformer_abi() {
    using namespace vecformer;
    static const int64_t abi[] = {ABI_VERSION,         sizeof(Affine),     sizeof(LayerWeights), sizeof(Layer),
                                  sizeof(FirstToken),  sizeof(Embedding),  sizeof(Convolution),  sizeof(Int8Call),
                                  sizeof(Pooling),     sizeof(Features),   sizeof(Clipping),     sizeof(DenseWeight),
                                  sizeof(DenseAdamW),  sizeof(SparseAdamW), 0};
    return abi;
}

// Whether this processor has the instructions that the library uses.
EXPORTED int vecformer_supported() {
#ifdef __AVX512BF16__
    if (!__builtin_cpu_supports("avx512bf16")) return false;
#endif
#ifdef __AVX512F__
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
#else
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
}

// Use matrix units from now on if `wanted` and there are some.
EXPORTED void vecformer_use_matrix_units(int wanted) {
#ifdef VECFORMER_AMX
    vecformer::use_matrix_units = wanted && vecformer::request_matrix_units();
#else
    (void)wanted;
#endif
}

// Whether matrix units are used.
EXPORTED int vecformer_uses_matrix_units() { return vecformer::use_matrix_units; }

// Set the address of GOMP_parallel.
EXPORTED void vecformer_set_omp_parallel(void* address) {
    vecformer::omp_parallel = reinterpret_cast<vecformer::OmpParallel>(address);
}
}
