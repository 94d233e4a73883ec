// Parallel loops on the OpenMP threads that PyTorch has already started, and scratch memory per thread.
//
// PyTorch ships its own OpenMP runtime. Its entry point is passed in when the library is loaded: a second thread pool
// would spin on the same cores.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#define EXPORTED __attribute__((visibility("default")))

namespace vecformer {

using OmpParallel = void (*)(void (*)(void*), void*, unsigned, unsigned);  // signature of GOMP_parallel
inline OmpParallel omp_parallel = nullptr;                                 // null: everything runs on one thread

// Call body(0) to body(n - 1) on n threads. Which thread runs which index is unspecified.
template <class Body>
void parallel_for(long n, const Body& body) {
    struct Task {
        const Body& body;
        long n;
        std::atomic<long> next{0};
    } task{body, n};
    auto run = [](void* argument) {
        Task& task = *static_cast<Task*>(argument);
        for (long i; (i = task.next.fetch_add(1)) < task.n;) task.body(i);
    };
    if (omp_parallel && n > 1) omp_parallel(run, &task, unsigned(n), 0);
    else run(&task);
}

// Call body(0) to body(n - 1) on n_threads threads with dynamic scheduling.
template <class Body>
void parallel_for_dynamic(long n_threads, long n, const Body& body) {
    std::atomic<long> next{0};
    parallel_for(n_threads < n ? n_threads : n, [&](long) {
        for (long i; (i = next.fetch_add(1)) < n;) body(i);
    });
}

// Bump allocator for the intermediate results of one thread; the memory is kept and reused by later calls.
class Scratch {
public:
    struct Mark {
        size_t chunk, used;
    };

    // Release everything.
    void clear() { chunk_ = used_ = 0; }
    // Current position, and release of everything allocated since a position.
    Mark mark() const { return {chunk_, used_}; }
    void rewind(Mark mark) { chunk_ = mark.chunk, used_ = mark.used; }

    // Allocate n uninitialised elements, aligned to a cache line.
    template <class T>
    T* alloc(long n) {
        const size_t bytes = (n * sizeof(T) + 63) / 64 * 64;
        while (chunk_ < chunks_.size() && used_ + bytes > chunks_[chunk_].size) ++chunk_, used_ = 0;
        if (chunk_ == chunks_.size()) {
            const size_t size = std::max<size_t>(bytes, 1 << 20);
            char* memory = static_cast<char*>(std::aligned_alloc(64, size));
            if (!memory) throw std::bad_alloc();
            chunks_.push_back({{memory, std::free}, size});
        }
        T* allocated = reinterpret_cast<T*>(chunks_[chunk_].memory.get() + used_);
        used_ += bytes;
        return allocated;
    }

private:
    struct Chunk {
        std::unique_ptr<char, void (*)(void*)> memory;
        size_t size;
    };
    std::vector<Chunk> chunks_;
    size_t chunk_ = 0, used_ = 0;
};

inline thread_local Scratch scratch;

}  // namespace vecformer
