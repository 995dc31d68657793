/* Unit request: from a body to what it asks for, whichever of the four dialects it is written in, and what to say where it is not valid. */
#ifndef AKI_SERVER_REQUEST_H
#define AKI_SERVER_REQUEST_H

#include "buf.h"
#include "util/json.h"
#include "util/utf8.h"

enum { JSON_DEPTH = 32 };                  /* of arrays and objects in one another: requests need four */

/* Whose shapes an answer has. */
enum family { FAMILY_TEI, FAMILY_AKIDB, FAMILY_OPENAI, FAMILY_OLLAMA, FAMILY_COHERE /* and Jina, vLLM: rerank */ };

/* Names of TEI's error_type, which the other families' errors are made from. */
extern const char type_validation[], type_empty[], type_tokenizer[], type_backend[], type_overloaded[], type_unhealthy[];

/* What is wrong with JSON, in the words of serde_json, which TEI's clients know. */
const char *json_words(enum aki__json_error error);

/* Why a request is refused. Zeroed: it is not. */
struct problem {
    int         status;                    /* of HTTP; 0: none */
    const char *type;                      /* one of type_* */
    const char *param;                     /* member of the body at fault, or NULL; static */
    const char *code;                      /* OpenAI's, or NULL; static */
    int         retry_after;               /* seconds; 0: none */
    char        message[640];              /* UTF-8, never a text's content */
};
#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
bool refuse(struct problem *p, int status, const char *type, const char *format, ...);   /* answers false */

/* The error's JSON in a family's shape. */
void problem_write(struct aki__buf *out, const struct problem *p, enum family family);

/* A text, a pair of texts, or ids that stand for a text. */
struct request_input {
    const char        *text;               /* borrowed from the body; NULL: ids */
    size_t             size;
    const char        *second;             /* of a pair; or NULL */
    size_t             second_size;
    const struct aki__json *ids;                /* the first of count numbers */
    size_t             count;
};

enum body_kind { BODY_OPENAI, BODY_EMBED /* TEI or AkiDB: the members tell */, BODY_OLLAMA, BODY_OLLAMA_OLD, BODY_ALL, BODY_SIMILARITY,
                 BODY_TOKENIZE, BODY_DECODE, BODY_SHOW, BODY_PULL, BODY_RERANK /* TEI, or Cohere and Jina */, BODY_PREDICT, BODY_SCORE, BODY_CLASSIFY };

/* Bodies whose answers are scores. */
static inline bool body_scores(enum body_kind kind) { return kind >= BODY_RERANK; }

/* A member that bodies may have. Those that no row names are passed over, as are MEMBER_UNUSED ones, which clients send. */
enum member_type { MEMBER_INPUT /* what is asked about; its body's reader reads it */, MEMBER_NAME, MEMBER_FLAG, MEMBER_CHOICE, MEMBER_UNUSED };

struct member {
    const char      *name;
    unsigned         bodies;               /* bits 1 << enum body_kind */
    enum member_type type;
    size_t           field;                /* where the reader puts it */
    const char      *choices;              /* of a MEMBER_CHOICE: "a|b|c" */
};
/* openapi.json describes these and no others; a test compares them. */
extern const struct member member_table[];
extern const size_t member_count;

/* Strings are borrowed from the body. */
struct request {
    struct aki__json_doc doc;
    enum family   family;
    struct request_input *inputs;                  /* [count] */
    size_t        count;
    bool          single;                  /* the input was no array */
    const char   *model, *prompt_name, *instruction;                         /* NULL: not given */
    int           kind, pooling, normalize, truncate;                        /* as of aki_embed_options */
    bool          cut;                     /* texts too long are truncated, not refused */
    bool          has_dimensions;
    int64_t       dimensions;
    bool          base64, no_special, keep_special, stream;
    bool          raw, return_text;        /* scores without an activation; with their texts */
    int64_t       top;                     /* the most results of a rerank; 0: all */
};

struct request_limits {
    size_t inputs, inputs_openai;
};

/* body: [size] and a byte of room, changed in place. false: *p says why, and request->family whose shape to say it in.
 * request_free is due in either case. */
bool request_read(struct request *request, enum body_kind kind, char *body, size_t size, const struct request_limits *limits,
                  struct problem *p);
void request_free(struct request *request);

#endif
