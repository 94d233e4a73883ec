// A vocabulary to which unknown words are added.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace vecformer {

// Hash table with open addressing. The characters of all words are concatenated in `text_`.
class Vocabulary {
public:
    Vocabulary() : slots_(1 << 10, -1) {}

    // Id of a word, which is added if it is new.
    int32_t id(std::string_view word) {
        size_t slot = hash(word) & (slots_.size() - 1);
        for (; slots_[slot] >= 0; slot = (slot + 1) & (slots_.size() - 1))
            if (this->word(slots_[slot]) == word) return slots_[slot];
        const int32_t new_id = int32_t(ends_.size());
        slots_[slot] = new_id;
        text_.append(word);
        ends_.push_back(int64_t(text_.size()));
        if (ends_.size() * 2 > slots_.size()) grow();
        return new_id;
    }

    std::string_view word(int32_t id) const {
        const int64_t start = id ? ends_[id - 1] : 0;
        return {text_.data() + start, size_t(ends_[id] - start)};
    }

    int64_t size() const { return int64_t(ends_.size()); }

private:
    static size_t hash(std::string_view word) {
        uint64_t state = word.size() * 0x9e3779b97f4a7c15u;
        for (size_t i = 0; i < word.size(); i += 8) {
            uint64_t chunk = 0;
            std::memcpy(&chunk, word.data() + i, word.size() - i < 8 ? word.size() - i : 8);
            state = (state ^ chunk) * 0xff51afd7ed558ccdu;
            state ^= state >> 32;
        }
        return state;
    }

    void grow() {
        slots_.assign(slots_.size() * 4, -1);
        for (int32_t id = 0; id < int32_t(ends_.size()); ++id) {
            size_t slot = hash(word(id)) & (slots_.size() - 1);
            while (slots_[slot] >= 0) slot = (slot + 1) & (slots_.size() - 1);
            slots_[slot] = id;
        }
    }

    std::vector<int32_t> slots_;  // ids; -1 for an empty slot
    std::string text_;
    std::vector<int64_t> ends_;  // end of each word in text_
};

}  // namespace vecformer
