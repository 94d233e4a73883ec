// N-grams of words and of characters within words, hashed and counted as scikit-learn's HashingVectorizer does.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "vocabulary.h"

namespace {

using vecformer::Vocabulary;

uint32_t rotated(uint32_t x, int bits) { return x << bits | x >> (32 - bits); }

uint32_t mixed(uint32_t chunk) { return rotated(chunk * 0xcc9e2d51u, 15) * 0x1b873593u; }

// MurmurHash3 (x86, 32 bits) with seed 0, by Austin Appleby, in the public domain.
uint32_t murmur3(std::string_view text) {
    uint32_t state = 0;
    size_t i = 0;
    for (; i + 4 <= text.size(); i += 4) {
        uint32_t chunk;
        std::memcpy(&chunk, text.data() + i, 4);
        state = rotated(state ^ mixed(chunk), 13) * 5 + 0xe6546b64u;
    }
    uint32_t rest = 0;
    for (size_t k = i; k < text.size(); ++k) rest |= uint32_t(uint8_t(text[k])) << 8 * (k - i);
    if (i < text.size()) state ^= mixed(rest);
    state ^= uint32_t(text.size());
    state = (state ^ state >> 16) * 0x85ebca6bu;
    state = (state ^ state >> 13) * 0xc2b2ae35u;
    return state ^ state >> 16;
}

// Absolute value of the hash as a signed number; its remainder by the number of buckets is the bucket.
uint32_t hashed(std::string_view ngram) {
    const uint32_t hash = murmur3(ngram);
    return int32_t(hash) < 0 ? 0u - hash : hash;
}

// N-grams of the words of a text. Words are separated by one space, so that each n-gram is a part of the text.
class WordNgrams {
public:
    explicit WordNgrams(int64_t longest) : longest_(longest) {}

    template <class Add>
    void each(std::string_view text, Add&& add) {
        starts_.assign(1, 0);
        for (size_t i = 0; i < text.size(); ++i)
            if (text[i] == ' ') starts_.push_back(i + 1);
        starts_.push_back(text.size() + 1);
        const int64_t n_words = text.empty() ? 0 : int64_t(starts_.size()) - 1;
        for (int64_t n = 1; n <= std::min(longest_, n_words); ++n)
            for (int64_t i = 0; i + n <= n_words; ++i)
                add(hashed(text.substr(starts_[i], starts_[i + n] - 1 - starts_[i])));
    }

private:
    int64_t longest_;
    std::vector<size_t> starts_;  // of the words, and one past the end of the text and a space
};

// N-grams of the characters of words, each with a space on both sides. A word's hashes are stored for its next use.
class CharacterNgrams {
public:
    CharacterNgrams(int64_t shortest, int64_t longest) : shortest_(shortest), longest_(longest) {}

    // The text begins and ends with a space, which also separate its words; "" for none.
    template <class Add>
    void each(std::string_view text, Add&& add) {
        for (size_t start = 0, end; (end = text.find(' ', start + 1)) != std::string_view::npos; start = end) {
            const int32_t id = words_.id(text.substr(start, end + 1 - start));
            if (id + 1 == int32_t(ends_.size())) {
                store(text.substr(start, end + 1 - start));
                ends_.push_back(hashes_.size());
            }
            std::for_each(hashes_.begin() + ends_[id], hashes_.begin() + ends_[id + 1], add);
        }
    }

private:
    void store(std::string_view word) {
        characters_.clear();  // bytes at which the characters start
        for (size_t i = 0; i < word.size(); ++i)
            if ((word[i] & 0xc0) != 0x80) characters_.push_back(i);
        const int64_t n_characters = int64_t(characters_.size());
        characters_.push_back(word.size());
        for (int64_t n = shortest_; n <= longest_; ++n) {
            if (n >= n_characters) {  // once, even if it is shorter than all further lengths
                hashes_.push_back(hashed(word));
                return;
            }
            for (int64_t i = 0; i + n <= n_characters; ++i)
                hashes_.push_back(hashed(word.substr(characters_[i], characters_[i + n] - characters_[i])));
        }
    }

    int64_t shortest_, longest_;
    Vocabulary words_;
    std::vector<uint32_t> hashes_;  // of all stored words
    std::vector<size_t> ends_{0};   // start of the hashes of the first word, and end of those of each
    std::vector<size_t> characters_;
};

}  // namespace

// Count the n-grams of n texts in 2 * half buckets, those of words in the first half; half is a power of two.
//
// The words of text i are separated by spaces and end at word_ends[i] in `words`. `characters` has the same for words
// separated by white space, with a space at the start and the end of each text that is not empty. Stores the buckets of
// each text in ascending order in `columns`, their counts in `counts`, and their number in n_columns[i]; returns the
// total. Both arrays have room for every n-gram.
extern "C" __attribute__((visibility("default"))) int64_t vecformer_count_ngrams(
    const char* words, const int64_t* word_ends, const char* characters, const int64_t* character_ends, int64_t n,
    int64_t longest_words, int64_t shortest_characters, int64_t longest_characters, int64_t half, int32_t* columns,
    float* counts, int64_t* n_columns) {
    WordNgrams of_words(longest_words);
    CharacterNgrams of_characters(shortest_characters, longest_characters);
    std::vector<uint32_t> found;
    int64_t total = 0;
    for (int64_t i = 0, word = 0, character = 0; i < n; word = word_ends[i], character = character_ends[i++]) {
        const uint32_t last = uint32_t(half) - 1;
        found.clear();
        of_words.each({words + word, size_t(word_ends[i] - word)},
                      [&](uint32_t hash) { found.push_back(hash & last); });
        of_characters.each({characters + character, size_t(character_ends[i] - character)},
                           [&](uint32_t hash) { found.push_back(uint32_t(half) + (hash & last)); });
        std::sort(found.begin(), found.end());
        const int64_t first = total;
        for (size_t k = 0, next; k < found.size(); k = next) {
            for (next = k + 1; next < found.size() && found[next] == found[k];) ++next;
            columns[total] = int32_t(found[k]);
            counts[total++] = float(next - k);
        }
        n_columns[i] = total - first;
    }
    return total;
}
