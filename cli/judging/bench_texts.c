/* Unit bench_texts: texts out of random words. See bench_texts.h. */
#include "bench_texts.h"

#include <math.h>
#include <string.h>

static const char *const words[] = {
    "river", "stone", "morning", "market", "engine", "paper", "garden", "letter", "window", "doctor", "silver", "winter", "bridge", "village",
    "music", "island", "teacher", "summer", "forest", "ocean", "mountain", "kitchen", "library", "science", "history", "machine", "energy",
    "weather", "captain", "valley", "harbour", "station", "railway", "factory", "painter", "student", "farmer", "soldier", "minister",
    "council", "company", "product", "price", "money", "value", "report", "system", "network", "server", "memory", "signal", "number", "figure",
    "theory", "method", "result", "measure", "pressure", "surface", "metal", "copper", "glass", "wooden", "leather", "cotton", "sugar", "bread",
    "butter", "coffee", "dinner", "animal", "horse", "eagle", "rabbit", "spider", "flower", "apple", "orange", "lemon", "potato", "yellow",
    "purple", "narrow", "heavy", "gentle", "ancient", "modern", "private", "public", "simple", "complex", "silent", "bright", "frozen", "broken",
    "carry", "follow", "gather", "listen", "travel", "wonder", "write", "build", "choose", "deliver", "explain", "improve", "repair", "return",
    "above", "behind", "between", "during", "inside", "nearly", "often", "perhaps", "rather", "seldom", "toward", "under", "until", "without",
};
enum { WORD_COUNT = sizeof words / sizeof *words };

static uint64_t draw(struct bench_texts *b)
{
    uint64_t x = b->state += 0x9E3779B97F4A7C15u;

    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

size_t bench_length(struct bench_texts *b, size_t least, size_t most)
{
    double share = (double)(draw(b) >> 11) / 9007199254740992.0;

    return (size_t)((double)least * pow((double)(most + 1) / (double)least, share));
}

static int count_tokens(const struct bench_texts *b, const char *text, size_t size, size_t *count)
{
    aki_embed_options e;
    aki_error error;

    aki_embed_options_init(&e, sizeof e);
    e.prompt = "";
    aki_status status = aki_tokenize(b->model, text, size, &e, NULL, NULL, 0, count, &error);
    return !status || status == AKI_E_TOO_SMALL ? CLI_OK : cli_fail(CLI_INTERNAL, "%s", error.message);
}

static bool add_word(struct aki__buf *out, size_t begin, const char *word)
{
    return (out->size == begin || aki__buf_append(out, " ", 1, CLI_CEILING)) && aki__buf_append(out, word, strlen(word), CLI_CEILING);
}

int bench_text(struct bench_texts *b, size_t tokens, struct aki__buf *out)
{
    size_t begin = out->size, count = 0, before = out->size;
    int rc = CLI_OK;

    /* Words by leaps, then singly; the last one, which was too much, is removed again, and a letter tried instead. */
    for (int tries = 0; !rc && count < tokens && tries < 4;) {
        size_t leap = !tries && count + 8 < tokens ? (tokens - count) / 4 : 1;
        before = out->size;
        for (size_t i = 0; i < leap && !rc; i++)
            if (!add_word(out, begin, tries == 3 ? "a" : tries == 2 ? "on" : words[draw(b) % WORD_COUNT]))
                rc = cli_no_memory();
        if (!rc)
            rc = count_tokens(b, out->data + begin, out->size - begin, &count);
        if (count > tokens) {
            out->size = before;
            tries++;
            count = 0;
            if (!rc && out->size > begin)
                rc = count_tokens(b, out->data + begin, out->size - begin, &count);
        }
    }
    return rc;
}
