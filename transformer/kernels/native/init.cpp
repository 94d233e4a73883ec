// Whether this processor can run the code, and on which threads.
#include "threads.h"

extern "C" {
EXPORTED int vecformer_supported() {
#ifdef __AVX512BF16__
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni");
#else
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
}
EXPORTED void vecformer_threads(void* fork) { vecformer::fork_with = reinterpret_cast<vecformer::Fork>(fork); }
}
