// Functions that are called when the library is loaded.
#include "calls.h"
#include "threads.h"

extern "C" {
// The ABI version and the sizes of all structures in calls.h, in their order, followed by 0.
EXPORTED const int64_t* vecformer_abi() {
    using namespace vecformer;
    static const int64_t abi[] = {ABI_VERSION,        sizeof(Affine),   sizeof(LayerWeights), sizeof(Layer),
                                  sizeof(FirstToken), sizeof(Int8Call), sizeof(Pooling),      sizeof(SparseAdamW),
                                  0};
    return abi;
}

// Whether this processor has the instructions that the library uses.
EXPORTED int vecformer_supported() {
#ifdef __AVX512BF16__
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni");
#else
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
}

// Set the address of GOMP_parallel.
EXPORTED void vecformer_set_omp_parallel(void* address) {
    vecformer::omp_parallel = reinterpret_cast<vecformer::OmpParallel>(address);
}
}
