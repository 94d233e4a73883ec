// Cuts ASCII text into words by the rule PLAIN of embeddings/tokenization/word_pattern.py, and numbers them: a word that is not in
// the vocabulary is added to it.
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

// Open addressing; the words' letters stand one after another in `letters_`.
class Vocabulary {
public:
    Vocabulary() : slots_(1 << 10, -1) {}

    int32_t number(std::string_view word) {
        size_t at = hash(word) & (slots_.size() - 1);
        for (; slots_[at] >= 0; at = (at + 1) & (slots_.size() - 1))
            if (this->word(slots_[at]) == word) return slots_[at];
        const int32_t added = int32_t(ends_.size());
        slots_[at] = added;
        letters_.append(word);
        ends_.push_back(int64_t(letters_.size()));
        if (ends_.size() * 2 > slots_.size()) grow();
        return added;
    }

    std::string_view word(int32_t number) const {
        const int64_t start = number ? ends_[number - 1] : 0;
        return {letters_.data() + start, size_t(ends_[number] - start)};
    }

    int64_t size() const { return int64_t(ends_.size()); }

private:
    static size_t hash(std::string_view word) {
        uint64_t mixed = word.size() * 0x9e3779b97f4a7c15u;
        for (size_t i = 0; i < word.size(); i += 8) {
            uint64_t part = 0;
            std::memcpy(&part, word.data() + i, word.size() - i < 8 ? word.size() - i : 8);
            mixed = (mixed ^ part) * 0xff51afd7ed558ccdu;
            mixed ^= mixed >> 32;
        }
        return mixed;
    }

    void grow() {
        slots_.assign(slots_.size() * 4, -1);
        for (int32_t i = 0; i < int32_t(ends_.size()); ++i) {
            size_t at = hash(word(i)) & (slots_.size() - 1);
            while (slots_[at] >= 0) at = (at + 1) & (slots_.size() - 1);
            slots_[at] = i;
        }
    }

    std::vector<int32_t> slots_;
    std::string letters_;
    std::vector<int64_t> ends_;
};

enum Kind : uint8_t { OTHER, LETTER, DIGIT, NOTHING };  // \w but \d, \d, white space or control

struct Kinds {
    Kind of[256];
    Kinds() {
        for (int c = 0; c < 256; ++c) {
            const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
            of[c] = letter ? LETTER : c >= '0' && c <= '9' ? DIGIT : c <= ' ' || c == 127 ? NOTHING : OTHER;
        }
    }
};
const Kinds kinds;

class Text {
public:
    Text(const char* begin, const char* end) : at_(begin), end_(end) {}

    // The next word; empty at the end.
    std::string_view next() {
        while (at_ < end_ && kind(at_) == NOTHING) ++at_;
        const char* start = at_;
        if (at_ < end_) at_ = end_of_word();
        return {start, size_t(at_ - start)};
    }

private:
    const char* end_of_word() const {
        if (kind(at_) == DIGIT) {
            const char* end = after_digits(at_);
            while (end + 1 < end_ && (*end == '.' || *end == ',') && kind(end + 1) == DIGIT)
                end = after_digits(end + 1);
            return end;
        }
        if (kind(at_) == LETTER) {
            const char* end = at_;
            while (in_word(end)) ++end;
            // The word's n may belong to an ending: "do n't", and "n't" alone.
            if (end[-1] == 'n' && is_ending(end - 1, "n't")) return end - 1 > at_ ? end - 1 : end + 2;
            return end;
        }
        for (const char* ending : {"'s", "'m", "'d", "'ll", "'re", "'ve"})
            if (is_ending(at_, ending)) return at_ + std::strlen(ending);
        return at_ + 1;
    }

    Kind kind(const char* c) const { return kinds.of[uint8_t(*c)]; }
    bool in_word(const char* c) const { return c < end_ && (kind(c) == LETTER || kind(c) == DIGIT); }
    const char* after_digits(const char* c) const {
        while (c < end_ && kind(c) == DIGIT) ++c;
        return c;
    }
    bool is_ending(const char* c, const char* ending) const {
        const size_t n = std::strlen(ending);
        return size_t(end_ - c) >= n && std::memcmp(c, ending, n) == 0 && !in_word(c + n);
    }

    const char *at_, *end_;
};

}  // namespace

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED void* vecformer_vocabulary() { return new Vocabulary; }
EXPORTED void vecformer_vocabulary_free(void* vocabulary) { delete static_cast<Vocabulary*>(vocabulary); }
EXPORTED int64_t vecformer_vocabulary_size(void* vocabulary) { return static_cast<Vocabulary*>(vocabulary)->size(); }

// The letters of a word; its length is the result.
EXPORTED int64_t vecformer_vocabulary_word(void* vocabulary, int64_t number, const char** letters) {
    const std::string_view word = static_cast<Vocabulary*>(vocabulary)->word(int32_t(number));
    *letters = word.data();
    return int64_t(word.size());
}

// Numbers whole words; word i ends at ends[i].
EXPORTED void vecformer_number(void* vocabulary, const char* letters, const int64_t* ends, int64_t n, int32_t* ids) {
    for (int64_t i = 0, start = 0; i < n; start = ends[i++])
        ids[i] = static_cast<Vocabulary*>(vocabulary)->number({letters + start, size_t(ends[i] - start)});
}

// Cuts texts, text i ending at ends[i], and numbers their words one after another; n_words[i] is how many text i has.
EXPORTED int64_t vecformer_cut(void* vocabulary, const char* letters, const int64_t* ends, int64_t n, int32_t* ids,
                               int64_t* n_words) {
    int32_t* to = ids;
    for (int64_t i = 0, start = 0; i < n; start = ends[i++]) {
        Text text(letters + start, letters + ends[i]);
        const int32_t* first = to;
        for (std::string_view word; !(word = text.next()).empty();)
            *to++ = static_cast<Vocabulary*>(vocabulary)->number(word);
        n_words[i] = to - first;
    }
    return to - ids;
}
