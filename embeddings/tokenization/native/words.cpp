// Tokenisation of ASCII text by the rule PLAIN of embeddings/tokenization/word_pattern.py.
#include <cstdint>
#include <cstring>
#include <string_view>

#include "vocabulary.h"

using vecformer::Vocabulary;

namespace {

constexpr int64_t ABI_VERSION = 2;  // increase it here and in __init__.py when an exported function changes

enum CharClass : uint8_t { OTHER, LETTER, DIGIT, SPACE };  // LETTER: \w without \d; SPACE: white space and control

struct CharClasses {
    CharClass of[256];
    CharClasses() {
        for (int c = 0; c < 256; ++c) {
            const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
            of[c] = letter ? LETTER : c >= '0' && c <= '9' ? DIGIT : c <= ' ' || c == 127 ? SPACE : OTHER;
        }
    }
};
const CharClasses char_classes;

// Iterator over the words of a text.
class Words {
public:
    Words(const char* begin, const char* end) : at_(begin), end_(end) {}

    // The next word; empty at the end of the text.
    std::string_view next() {
        while (at_ < end_ && char_class(at_) == SPACE) ++at_;
        const char* start = at_;
        if (at_ < end_) at_ = end_of_word();
        return {start, size_t(at_ - start)};
    }

private:
    const char* end_of_word() const {
        if (char_class(at_) == DIGIT) {
            const char* end = skip_digits(at_);
            while (end + 1 < end_ && (*end == '.' || *end == ',') && char_class(end + 1) == DIGIT)
                end = skip_digits(end + 1);
            return end;
        }
        if (char_class(at_) == LETTER) {
            const char* end = at_;
            while (is_word_char(end)) ++end;
            // The final n may belong to a clitic: "don't" is "do" and "n't"; "n't" alone is one word.
            if (end[-1] == 'n' && has_clitic(end - 1, "n't")) return end - 1 > at_ ? end - 1 : end + 2;
            return end;
        }
        for (const char* clitic : {"'s", "'m", "'d", "'ll", "'re", "'ve"})
            if (has_clitic(at_, clitic)) return at_ + std::strlen(clitic);
        return at_ + 1;
    }

    CharClass char_class(const char* c) const { return char_classes.of[uint8_t(*c)]; }
    bool is_word_char(const char* c) const { return c < end_ && (char_class(c) == LETTER || char_class(c) == DIGIT); }
    const char* skip_digits(const char* c) const {
        while (c < end_ && char_class(c) == DIGIT) ++c;
        return c;
    }
    // Whether the clitic starts at c and ends at a word boundary.
    bool has_clitic(const char* c, const char* clitic) const {
        const size_t n = std::strlen(clitic);
        return size_t(end_ - c) >= n && std::memcmp(c, clitic, n) == 0 && !is_word_char(c + n);
    }

    const char *at_, *end_;
};

}  // namespace

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED int64_t vecformer_abi() { return ABI_VERSION; }

EXPORTED void* vecformer_vocabulary_new() { return new Vocabulary; }
EXPORTED void vecformer_vocabulary_free(void* vocabulary) { delete static_cast<Vocabulary*>(vocabulary); }
EXPORTED int64_t vecformer_vocabulary_size(void* vocabulary) { return static_cast<Vocabulary*>(vocabulary)->size(); }

// Set *text to the characters of a word and return their number.
EXPORTED int64_t vecformer_vocabulary_word(void* vocabulary, int64_t id, const char** text) {
    const std::string_view word = static_cast<Vocabulary*>(vocabulary)->word(int32_t(id));
    *text = word.data();
    return int64_t(word.size());
}

// Look up the ids of n words, which are concatenated in `text`; word i ends at ends[i].
EXPORTED void vecformer_lookup(void* vocabulary, const char* text, const int64_t* ends, int64_t n, int32_t* ids) {
    for (int64_t i = 0, start = 0; i < n; start = ends[i++])
        ids[i] = static_cast<Vocabulary*>(vocabulary)->id({text + start, size_t(ends[i] - start)});
}

// Tokenise n texts, which are concatenated in `text`; text i ends at ends[i]. Stores the ids of all words in `ids`, and
// the number of words of text i in n_words[i]; returns the total.
EXPORTED int64_t vecformer_tokenize(void* vocabulary, const char* text, const int64_t* ends, int64_t n, int32_t* ids,
                                    int64_t* n_words) {
    int32_t* next_id = ids;
    for (int64_t i = 0, start = 0; i < n; start = ends[i++]) {
        Words words(text + start, text + ends[i]);
        const int32_t* first = next_id;
        for (std::string_view word; !(word = words.next()).empty();)
            *next_id++ = static_cast<Vocabulary*>(vocabulary)->id(word);
        n_words[i] = next_id - first;
    }
    return next_id - ids;
}
