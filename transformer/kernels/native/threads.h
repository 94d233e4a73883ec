// The threads that torch has already: those of the OpenMP library it brought, told to us at the start. A second pool
// beside it would wait busily for work on the same cores.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#define EXPORTED __attribute__((visibility("default")))

namespace vecformer {

using Fork = void (*)(void (*)(void*), void*, unsigned, unsigned);  // GOMP_parallel
inline Fork fork_with = nullptr;

// Calls work(0) to work(n - 1), side by side. Who gets which number is open, so it may choose rows but no order.
template <class Work>
void parallel(long n, const Work& work) {
    struct Task {
        const Work& work;
        long n;
        std::atomic<long> next{0};
    } task{work, n};
    auto run = [](void* given) {
        Task& task = *static_cast<Task*>(given);
        for (long i; (i = task.next.fetch_add(1)) < task.n;) task.work(i);
    };
    if (fork_with && n > 1) fork_with(run, &task, unsigned(n), 0);
    else run(&task);
}

// As parallel, for more items than threads: each thread takes the next one as it is done.
template <class Work>
void parallel_items(long n_threads, long n, const Work& work) {
    std::atomic<long> next{0};
    parallel(n_threads < n ? n_threads : n, [&](long) {
        for (long i; (i = next.fetch_add(1)) < n;) work(i);
    });
}

// Memory of a thread for its intermediate results, kept for the next time.
class Scratch {
public:
    struct Mark {
        size_t piece, used;
    };

    // Gives up what was taken before.
    void clear() { piece_ = used_ = 0; }
    // Or what was taken since.
    Mark mark() const { return {piece_, used_}; }
    void back_to(Mark mark) { piece_ = mark.piece, used_ = mark.used; }

    template <class T>
    T* take(long n) {
        const size_t bytes = (n * sizeof(T) + 63) / 64 * 64;  // each begins on a cache line
        while (piece_ < pieces_.size() && used_ + bytes > pieces_[piece_].size) ++piece_, used_ = 0;
        if (piece_ == pieces_.size()) {
            const size_t size = std::max<size_t>(bytes, 1 << 20);
            char* memory = static_cast<char*>(std::aligned_alloc(64, size));
            if (!memory) throw std::bad_alloc();
            pieces_.push_back({{memory, std::free}, size});
        }
        T* taken = reinterpret_cast<T*>(pieces_[piece_].memory.get() + used_);
        used_ += bytes;
        return taken;
    }

private:
    struct Piece {
        std::unique_ptr<char, void (*)(void*)> memory;
        size_t size;
    };
    std::vector<Piece> pieces_;
    size_t piece_ = 0, used_ = 0;
};

inline thread_local Scratch scratch;

}  // namespace vecformer
