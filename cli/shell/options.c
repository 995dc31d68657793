/* Unit options: the table of verbs and options, and the parser that walks it. See options.h. */
#include "options.h"

#include "system.h"

#include "util/names.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const struct verb verbs[VERB_COUNT] = {
    { "embed", "a vector for each text",
      "[OPTIONS] TEXT...\n[OPTIONS] -f FILE\n[OPTIONS] < FILE",
      "akiembed embed -m all-MiniLM-L6-v2 \"a cat\" \"a dog\"\n"
      "akiembed embed -f lines.txt -o vectors.npy\n"
      "akiembed embed --jsonl -f rows.jsonl -o vectors.jsonl --resume\n"
      "akiembed embed --kind query \"how do cats purr\" --format raw > query.f32\n"
      "akiembed embed -f books.txt --null --chunk 256 --overlap 32",
      "A jsonl row is {\"index\":0,\"tokens\":7,\"embedding\":[...]}; json is one array of such rows; npy is [rows, dim]; raw is the "
      "numbers alone, little-endian; csv has a heading. Numbers are printed so that they parse back to the same float.\n"
      "A row of --chunk also has \"chunk\", \"begin\" and \"end\": the bytes of the text that it stands for. A row of --tokens has "
      "\"ids\", \"pieces\", \"spans\" (bytes in prompt and text) and \"embeddings\", the last hidden states.",
      embed_run },
    { "tokenize", "the token ids of each text, or texts of ids",
      "[OPTIONS] TEXT...\n[OPTIONS] -f FILE\n[OPTIONS] --decode < IDS",
      "akiembed tokenize \"a cat\"                  [101,1037,4937,102]\n"
      "akiembed tokenize --pieces \"a cat\"         [\"[CLS]\",\"a\",\"cat\",\"[SEP]\"]\n"
      "akiembed tokenize -m tokenizer.json -f lines.txt -o ids.jsonl\n"
      "echo 1037 4937 | akiembed tokenize --decode",
      "Special tokens are added as embed does it, a prompt where one of its options is given; nothing is cut without --max-tokens.\n"
      "--decode reads one list of ids a line, [1,2] or 1 2, and leaves special tokens out of the text; with --jsonl each text is "
      "written as a JSON string.",
      tokenize_run },
    { "similarity", "how near texts are to a query, nearest first",
      "[OPTIONS] QUERY TEXT...\n[OPTIONS] QUERY -f FILE\n[OPTIONS] QUERY < FILE",
      "akiembed similarity \"how do cats purr\" \"A cat's larynx\" \"Dog food\"\n"
      "akiembed similarity \"how do cats purr\" -f lines.txt --top 10\n"
      "akiembed similarity \"how do cats purr\" -f lines.txt --json",
      "Scores are cosines. Where the model has prompts for queries and documents, QUERY and the texts get them.",
      similarity_run },
    { "info", "what a model is and how it runs here",
      "[OPTIONS]",
      "akiembed info -m all-MiniLM-L6-v2\nakiembed info --json",
      "", info_run },
    { "quantize", "an int8 copy of a model's folder, small and quick to open",
      "[OPTIONS] FOLDER OUT",
      "akiembed quantize all-MiniLM-L6-v2 all-MiniLM-L6-v2-int8\n"
      "akiembed quantize Qwen/Qwen3-Embedding-0.6B qwen3-int8",
      "OUT is a new folder, or an empty one. Its vectors are those of FOLDER with --precision int8, to the bit. It gets a SHA256SUMS of its "
      "files, for sha256sum -c and for --check-files. docs/quantised-folder.md describes the files.",
      quantize_run },
    { "export", "a model's network as an ONNX file",
      "[OPTIONS] FOLDER OUT.onnx",
      "akiembed export all-MiniLM-L6-v2 minilm.onnx\n"
      "akiembed export --pooled --f16 Qwen/Qwen3-Embedding-0.6B qwen3.onnx\n"
      "akiembed export --for coreml --batch 8 all-MiniLM-L6-v2 minilm.onnx",
      "The file takes input_ids and attention_mask, any number of texts of any length, and gives last_hidden_state, or sentence_embedding with "
      "--pooled. It needs standard operators only (opset 21), so that any ONNX runtime can run it. Weights above 1.9 GiB go to OUT.onnx.data "
      "beside it. --for coreml writes what --device coreml runs, for converters and for looking at: docs/coreml.md tells its inputs.",
      export_run },
    { "verify", "the vectors of a precision and device against f32 on the cpu",
      "[OPTIONS]\n[OPTIONS] -f FILE",
      "akiembed verify --precision int8\n"
      "akiembed verify -m qwen3-int8 --against Qwen/Qwen3-Embedding-0.6B\n"
      "akiembed verify --precision int8 -f lines.txt --json",
      "The texts are built in, in many languages, or those of FILE, at most 2000 of them. A quantised folder has no f32 weights left: without "
      "--against it is compared with itself only. Exit status 7 where a value is below its bound.",
      verify_run },
    { "bench", "how fast a model is here",
      "[OPTIONS]\n[OPTIONS] --texts FILE",
      "akiembed bench\nakiembed bench --precision int8 --seconds 30 --json\nakiembed bench -m all-MiniLM-L6-v2 --texts lines.txt",
      "Times are milliseconds of a call, and their percentiles. Every text is another one, so that nothing can be reused; but queries begin "
      "with the model's prompt, which a causal model computes once (--prefix-cache).",
      bench_run },
    { "devices", "where models can be computed on this machine",
      "[OPTIONS]",
      "akiembed devices\nakiembed devices --json",
      "", devices_run },
#ifdef CLI_SERVE
    { "serve", "embeddings over HTTP, for clients of OpenAI, TEI, Ollama",
      "[OPTIONS]",
      "akiembed serve -m all-MiniLM-L6-v2\n"
      "akiembed serve --model small=all-MiniLM-L6-v2 --model large=folder\n"
      "akiembed serve --unix /run/akiembed/socket --api-keys /etc/akiembed/keys",
      "The first model is opened at once and is the default, others when they are asked for. SIGTERM ends it when all is answered, SIGHUP "
      "reads the keys again. A line of JSON for each request goes to standard error, without the texts. docs/http.md describes the routes.",
      serve_run },
#endif
#ifdef CLI_PULL
    { "pull", "a model from a hub into the Hugging Face cache",
      "[OPTIONS] [NAME[@REVISION]]",
      "akiembed pull\n"
      "akiembed pull minilm\n"
      "akiembed pull intfloat/multilingual-e5-small@main\n"
      "akiembed pull --file onnx/model_int8.onnx minilm",
      "Fetches what a model is opened from, and nothing else; an interrupted pull goes on where it was. Prints the model's folder. Without NAME "
      "it is Qwen/Qwen3-Embedding-0.6B. The hub is that of HF_ENDPOINT, the token that of HF_TOKEN or of 'hf auth login'; HF_HUB_OFFLINE is "
      "--offline. docs/models.md says which files, and what each error means.",
      pull_run },
#endif
    { "models", "the models in the cache, and those known to work",
      "[OPTIONS]",
      "akiembed models\nakiembed models --known\nakiembed models --json",
      "", models_run },
    { "rm", "take a model out of the cache",
      "[OPTIONS] NAME[@REVISION]",
      "akiembed rm minilm\nakiembed rm intfloat/multilingual-e5-small@refs/pr/1",
      "Without REVISION the whole model goes, with it one revision and what no other one needs.",
      rm_run },
    { "check", "all that is wrong with a model's files",
      "[OPTIONS] FOLDER",
      "akiembed check all-MiniLM-L6-v2\nakiembed check Qwen/Qwen3-Embedding-0.6B --json",
      "Reads every file to its end: configurations, tokenizer, each tensor's shape, type and numbers, and hashes where they are known (SHA256SUMS, "
      "or the names that a hub's cache gives its files). Tells everything that is wrong, not only the first; exit status 7 then.",
      check_run },
    { "completion", "a script that completes akiembed's words in a shell",
      "bash|zsh|fish",
      "akiembed completion bash > ~/.local/share/bash-completion/completions/akiembed\n"
      "akiembed completion zsh > \"${fpath[1]}/_akiembed\"\n"
      "akiembed completion fish > ~/.config/fish/completions/akiembed.fish",
      "", completion_run },
};

#define E (1u << VERB_EMBED)
#define T (1u << VERB_TOKENIZE)
#define S (1u << VERB_SIMILARITY)
#define I (1u << VERB_INFO)
#define Q (1u << VERB_QUANTIZE)
#define X (1u << VERB_EXPORT)
#define V (1u << VERB_VERIFY)
#define B (1u << VERB_BENCH)
#define D (1u << VERB_DEVICES)
#ifdef CLI_SERVE
#  define H (1u << VERB_SERVE)
#else
#  define H 0u
#endif
#ifdef CLI_PULL
#  define P (1u << VERB_PULL)
#else
#  define P 0u
#endif
#define M (1u << VERB_MODELS)
#define C (1u << VERB_CHECK)
#define OPENS (E | S | I | V | B | H)       /* verbs that compute with a model */
#define ALL ((1u << VERB_COUNT) - 1)
#define AT(name) offsetof(struct options, name)

/* name, letter, kind, verbs, group, value, field, least, most, rivals, help */
const struct option option_table[] = {
    { "file", 'f', OPTION_TEXT, E | T | S | V, "Input", "FILE", AT(file), 0, 0, 0,
      "texts, one a line; - is standard input. (NAME.onnx: the model's file, see --file of info)" },
    { "file", 0, OPTION_TEXT, I | B | H, "Model", "NAME.onnx", AT(onnx), 0, 0, 0,
      "this .onnx file of the model's folder, as onnx/model_int8.onnx (default: safetensors, else onnx/model.onnx, model.onnx)" },
#ifdef CLI_PULL
    { "file", 0, OPTION_TEXT, P, "Model", "NAME", AT(file), 0, 0, 0,
      "the weights to fetch, as onnx/model_int8.onnx (default: model.safetensors or its shards)" },
    { "offline", 0, OPTION_FLAG, P, "Model", NULL, AT(offline), 0, 0, 0, "no network: only say where the model is in the cache" },
#endif
    { "jsonl", 0, OPTION_FLAG, E | T | S | V, "Input", NULL, AT(jsonl), 0, 0, 1, "lines are JSON strings, or objects with \"text\"" },
    { "null", 0, OPTION_FLAG, E | T | S | V, "Input", NULL, AT(null), 0, 0, 1, "texts end with a NUL byte, not at a line's end" },
    { "texts", 0, OPTION_TEXT, B, "Input", "FILE", AT(texts), 0, 0, 0, "texts for the bulk row, one a line (default: made up)" },
    { "decode", 0, OPTION_FLAG, T, "Input", NULL, AT(decode), 0, 0, 3, "lines are ids; gives their texts" },

    { "model", 'm', OPTION_TEXT, OPENS & ~H, "Model", "MODEL", AT(model), 0, 0, 0,
      "a model's folder, or its name in the Hugging Face cache (default: Qwen/Qwen3-Embedding-0.6B)" },
    { "model", 'm', OPTION_TEXT, T, "Model", "MODEL", AT(model), 0, 0, 0,
      "a model's folder or name, a tokenizer.json, or a folder with one (default: Qwen/Qwen3-Embedding-0.6B)" },
    { "model", 'm', OPTION_LIST, H, "Model", "NAME=MODEL", AT(models), 0, 0, 0,
      "a model's folder or name, and what clients call it; they may also use the last part of either; may be repeated" },
    { "precision", 0, OPTION_CHOICE, OPENS, "Model", AKI_PRECISION_CHOICES, AT(precision), 0, 0, 0,
      "what to compute in (default: f32; a quantised folder is int8 by itself); int8 on the cpu, f16 on other devices" },
    { "device", 0, OPTION_TEXT, OPENS, "Model", "NAME", AT(device), 0, 0, 0,
      "cpu (default), auto, coreml, cuda, dml, webgpu, openvino, or another of akiembed devices" },
    { "device-option", 0, OPTION_LIST, OPENS, "Model", "KEY=VALUE", AT(device_options), 0, 0, 0,
      "a setting of the device's provider, or aki.shapes=fixed|free; may be repeated" },
    { "device-plugin", 0, OPTION_TEXT, OPENS | D, "Model", "PATH", AT(device_plugin), 0, 0, 0, "a library that adds devices (NAME=PATH: under that name)" },
    { "device-fallback", 0, OPTION_FLAG, OPENS, "Model", NULL, AT(device_fallback), 0, 0, 0,
      "compute on the cpu where the device cannot be used" },
    { "test-cache", 0, OPTION_CHOICE, OPENS, "Model", "on|renew|off", AT(test_cache), 0, 0, 0,
      "a device's self-test: remembered from an earlier open (default), done and remembered anew, or done and not remembered" },
    { "max-buckets", 0, OPTION_NUMBER, OPENS, "Model", "N", AT(max_buckets), 1, 64, 0,
      "sessions that a device with fixed shapes may have at a time (default: 2)" },
    { "threads", 0, OPTION_NUMBER, OPENS, "Model", "N", AT(threads), 1, 4096, 0, "threads to compute with (default: the physical cores)" },
    { "max-batch-tokens", 0, OPTION_NUMBER, OPENS, "Model", "N", AT(max_batch_tokens), 1, INT_MAX, 0,
      "tokens computed at once: bounds memory; info tells the default" },
    { "prefix-cache", 0, OPTION_NUMBER, OPENS, "Model", "MIB", AT(prefix_cache), 0, 1 << 20, 0,
      "memory for beginnings that texts share, of causal models (default: 64; 0: none)" },
    { "check-files", 0, OPTION_FLAG, OPENS | T | Q | X, "Model", NULL, AT(check_files), 0, 0, 0,
      "check the folder's files by its SHA256SUMS before they are read" },
    { "against", 0, OPTION_TEXT, V, "Model", "MODEL", AT(against), 0, 0, 0, "the model that a quantised folder was made from" },

    { "host", 0, OPTION_TEXT, H, "Server", "NAME", AT(host), 0, 0, 0, "address to listen on (default: 127.0.0.1)" },
    { "port", 0, OPTION_NUMBER, H, "Server", "N", AT(port), 0, 65535, 0, "port to listen on (default: 8080; 0: any free one)" },
    { "unix", 0, OPTION_TEXT, H, "Server", "PATH", AT(unix_path), 0, 0, 0, "listen on a socket in the file system instead" },
    { "unix-mode", 0, OPTION_TEXT, H, "Server", "MODE", AT(unix_mode), 0, 0, 0, "its rights, octal (default: 660)" },
    { "api-keys", 0, OPTION_TEXT, H, "Server", "FILE", AT(api_keys), 0, 0, 0, "keys of which clients need one, one a line" },
    { "tls-cert", 0, OPTION_TEXT, H, "Server", "FILE", AT(tls_cert), 0, 0, 0, "certificate chain in PEM: serve HTTPS" },
    { "tls-key", 0, OPTION_TEXT, H, "Server", "FILE", AT(tls_key), 0, 0, 0, "its private key in PEM" },
    { "cors", 0, OPTION_TEXT, H, "Server", "ORIGIN", AT(cors), 0, 0, 0, "let pages of that origin ask (* is any; default: none)" },
    { "any-model", 0, OPTION_FLAG, H, "Server", NULL, AT(any_model), 0, 0, 0, "take an unknown model's name for the first one's" },
    { "idle-close", 0, OPTION_NUMBER, H, "Server", "SECONDS", AT(idle_close), 0, INT_MAX, 0,
      "close a model that nobody used for so long (default: 0, never)" },

    { "max-inputs", 0, OPTION_NUMBER, H, "Limits", "N", AT(max_inputs), 1, 1 << 20, 0, "texts in a request of TEI and AkiDB (default: 32)" },
    { "max-inputs-openai", 0, OPTION_NUMBER, H, "Limits", "N", AT(max_inputs_openai), 1, 1 << 20, 0,
      "texts in a request of OpenAI and Ollama (default: 2048)" },
    { "max-body", 0, OPTION_NUMBER, H, "Limits", "BYTES", AT(max_body), 1, 1 << 30, 0, "longest body of a request (default: 2000000)" },
    { "max-answer", 0, OPTION_NUMBER, H, "Limits", "BYTES", AT(max_answer), 1000, 1 << 29, 0,
      "longest answer; what would be longer is not computed, but refused with 422 (default: 268435456)" },
    { "max-queue-tokens", 0, OPTION_NUMBER, H, "Limits", "N", AT(max_queue_tokens), 1, INT_MAX, 0,
      "tokens that may wait; more is answered with 429 (default: 262144)" },
    { "max-connections", 0, OPTION_NUMBER, H, "Limits", "N", AT(max_connections), 1, 1 << 20, 0, "connections at a time (default: 4096)" },
    { "http-threads", 0, OPTION_NUMBER, H, "Limits", "N", AT(http_threads), 1, 256, 0,
      "threads that read, tokenise and answer (default: 2)" },
    { "deadline", 0, OPTION_NUMBER, H, "Limits", "SECONDS", AT(deadline), 0, INT_MAX, 0,
      "a request not computed by then is answered with 503 (default: 60; 0: none)" },
    { "idle-timeout", 0, OPTION_NUMBER, H, "Limits", "SECONDS", AT(idle_timeout), 1, 86400, 0,
      "close a connection on which nothing happens (default: 75)" },
    { "header-timeout", 0, OPTION_NUMBER, H, "Limits", "SECONDS", AT(header_timeout), 1, 86400, 0, "time for a request's headers (default: 10)" },
    { "body-timeout", 0, OPTION_NUMBER, H, "Limits", "SECONDS", AT(body_timeout), 1, 86400, 0, "time for a request's body (default: 30)" },
    { "write-timeout", 0, OPTION_NUMBER, H, "Limits", "SECONDS", AT(write_timeout), 1, 86400, 0, "time to take an answer (default: 120)" },
    { "drain", 0, OPTION_NUMBER, H, "Limits", "SECONDS", AT(drain), 0, 86400, 0, "time to answer what is there, at SIGTERM (default: 30)" },

    { "kind", 0, OPTION_CHOICE, E | T, "Text", AKI_KIND_CHOICES, AT(kind), 0, 0, 0, "put the model's prompt of that kind before each text" },
    { "prompt-name", 0, OPTION_TEXT, E | T, "Text", "NAME", AT(prompt_name), 0, 0, 0, "put that prompt of the model before each text" },
    { "prompt", 0, OPTION_TEXT, E | T, "Text", "TEXT", AT(prompt), 0, 0, 0, "put TEXT before each text" },
    { "instruction", 0, OPTION_TEXT, E | T | S, "Text", "TASK", AT(instruction), 0, 0, 2, "the task in a query prompt \"Instruct: TASK\"" },
    { "no-prompts", 0, OPTION_FLAG, S, "Text", NULL, AT(no_prompts), 0, 0, 2, "use none of the model's prompts" },
    { "max-tokens", 0, OPTION_NUMBER, E | S, "Text", "N", AT(max_tokens), 1, INT_MAX, 0,
      "longest text, with prompt and special tokens (default: the model's)" },
    { "max-tokens", 0, OPTION_NUMBER, T, "Text", "N", AT(max_tokens), 1, INT_MAX, 0, "cut to N tokens, with prompt and special tokens" },
    { "truncate", 0, OPTION_CHOICE, E | T | S, "Text", "right|left|error", AT(truncate), 0, 0, 0,
      "what a text too long loses (default: the model's, mostly right), or fail" },
    { "no-parse-special", 0, OPTION_FLAG, E | T | S, "Text", NULL, AT(no_parse_special), 0, 0, 0,
      "take special strings such as [SEP] in a text as plain text" },
    { "no-special", 0, OPTION_FLAG, T, "Text", NULL, AT(no_special), 0, 0, 0, "add no special tokens" },
    { "chunk", 0, OPTION_NUMBER, E, "Text", "N", AT(chunk), 1, INT_MAX, 4,
      "split each text into chunks of at most N tokens, prompt and special tokens included (more where a single character has more); a vector a chunk" },
    { "overlap", 0, OPTION_NUMBER, E, "Text", "N", AT(overlap), 0, INT_MAX, 0, "tokens that neighbouring chunks share (default: 0)" },
    { "chunk-pool", 0, OPTION_CHOICE, E, "Text", "mean", AT(chunk_pool), 0, 0, 0, "a vector a text again: the mean of its chunks" },

    { "pooling", 0, OPTION_CHOICE, E | S, "Vector", AKI_POOLING_CHOICES, AT(pooling), 0, 0, 0,
      "how token vectors become one (default: the model's)" },
    { "dim", 0, OPTION_NUMBER, E | S, "Vector", "N", AT(dim), 1, INT_MAX, 0, "cut vectors to N elements, then normalise" },
    { "no-normalize", 0, OPTION_FLAG, E, "Vector", NULL, AT(no_normalize), 0, 0, 0, "leave the length as it comes" },
    { "dtype", 0, OPTION_CHOICE, E, "Vector", "f32|f16|int8|uint8|binary|ubinary", AT(dtype), 0, 0, 0,
      "type of an element (default: f32); int8 and uint8 need one of the next two" },
    { "ranges", 0, OPTION_TEXT, E, "Vector", "FILE.npy", AT(ranges), 0, 0, 5, "least and largest value of each element: [2, dim] f32" },
    { "calibrate", 0, OPTION_TEXT, E, "Vector", "FILE", AT(calibrate), 0, 0, 5, "texts, one a line, to find these ranges with" },
    { "tokens", 0, OPTION_FLAG, E, "Vector", NULL, AT(tokens), 0, 0, 4, "a vector a token, neither pooled nor normalised" },

    { "format", 0, OPTION_CHOICE, E, "Output", "jsonl|json|npy|raw|csv", AT(format), 0, 0, 0,
      "what to write (default: what -o's name ends in, else jsonl)" },
    { "f16", 0, OPTION_FLAG, X, "Output", NULL, AT(f16), 0, 0, 0, "weights and arithmetic in half precision: half the size" },
    { "pooled", 0, OPTION_FLAG, X, "Output", NULL, AT(pooled), 0, 0, 0, "a vector a text, pooled and normalised as the model says" },
    { "for", 0, OPTION_CHOICE, X, "Output", "portable|coreml", AT(form), 0, 0, 0, "any client (default), or the form that CoreML and other devices are given" },
    { "batch", 0, OPTION_NUMBER, X, "Output", "N", AT(batch), 1, 16384, 0, "exactly N texts (default: any number; for coreml 1)" },
    { "length", 0, OPTION_NUMBER, X, "Output", "N", AT(length), 1, INT_MAX, 0, "exactly N tokens, padding included (default: any; for coreml 128)" },
    { "pieces", 0, OPTION_FLAG, T, "Output", NULL, AT(pieces), 0, 0, 3, "the tokens' spelling instead of their ids" },
    { "output", 'o', OPTION_TEXT, E | T, "Output", "FILE", AT(output), 0, 0, 0, "write there, not to standard output" },
    { "resume", 0, OPTION_FLAG, E, "Output", NULL, AT(resume), 0, 0, 0, "go on after the last whole row that -o FILE already has" },
    { "top", 0, OPTION_NUMBER, S, "Output", "N", AT(top), 1, INT_MAX, 0, "only the N nearest" },
    { "seconds", 0, OPTION_NUMBER, B, "Output", "N", AT(seconds), 1, 86400, 0, "how long to measure, about (default: 10)" },
    { "known", 0, OPTION_FLAG, M, "Output", NULL, AT(known), 0, 0, 0, "models known to work: short name, name, licence, elements" },
    { "json", 0, OPTION_FLAG, S | I | V | B | D | M | C, "Output", NULL, AT(json), 0, 0, 0, "one JSON object" },

    { "quiet", 'q', OPTION_FLAG, ALL & ~(1u << VERB_COMPLETION), "Other", NULL, AT(quiet), 0, 0, 6, "no progress and no warnings, errors only" },
    { "verbose", 'v', OPTION_FLAG, ALL & ~(1u << VERB_COMPLETION), "Other", NULL, AT(verbose), 0, 0, 6, "say what is used: folder, device, prompt" },
    { "help", 'h', OPTION_FLAG, ALL, "Other", NULL, AT(help), 0, 0, 0, "this text" },
};
const size_t option_count = sizeof option_table / sizeof *option_table;
_Static_assert(sizeof option_table / sizeof *option_table <= OPTION_LIMIT, "struct options has a source for each row");

#undef E
#undef T
#undef S
#undef I
#undef Q
#undef X
#undef V
#undef B
#undef D
#undef H
#undef P
#undef M
#undef C
#undef OPENS

enum { SOURCE_NONE, SOURCE_ENVIRONMENT, SOURCE_TYPED };

/* ---------------------------------------------------------------- names ----------------------------------------- */

const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (!strcmp(verbs[i].name, name))
            return &verbs[i];
    return NULL;
}

/* Edits (insert, delete, replace) from a to b; long words are far from everything. */
static size_t distance(const char *a, const char *b)
{
    size_t row[33], a_size = strlen(a), b_size = strlen(b);

    if (a_size > 32 || b_size > 32)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t change = corner + (a[i - 1] != b[j - 1]), least = row[j] < row[j - 1] ? row[j] : row[j - 1];
            corner = row[j];
            row[j] = least + 1 < change ? least + 1 : change;
        }
    }
    return row[b_size];
}

/* Near is what a slip of the hand makes, or a beginning that was not finished. */
static bool nearer(const char *typed, const char *name, size_t *best)
{
    size_t edits = distance(typed, name), size = strlen(typed);

    if (size >= 2 && !strncmp(typed, name, size))
        edits = 0;
    if (edits > 1 + size / 4 || edits >= *best)
        return false;
    *best = edits;
    return true;
}

const char *verb_near(const char *name)
{
    const char *found = NULL;
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < VERB_COUNT; i++)
        if (nearer(name, verbs[i].name, &best))
            found = verbs[i].name;
    return found;
}

static unsigned verb_bit(const struct verb *verb)
{
    return 1u << (verb - verbs);
}

static const struct option *find_long(const struct verb *verb, const char *name, size_t size)
{
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        if ((option->verbs & verb_bit(verb)) && strlen(option->name) == size && !memcmp(option->name, name, size))
            return option;
    }
    return NULL;
}

static const struct option *find_letter(const struct verb *verb, char letter)
{
    for (size_t i = 0; i < option_count; i++)
        if ((option_table[i].verbs & verb_bit(verb)) && option_table[i].letter == letter)
            return &option_table[i];
    return NULL;
}

static int fail_unknown(const struct verb *verb, const char *name)
{
    const char *found = NULL;
    size_t best = SIZE_MAX;
    bool elsewhere = false;

    for (size_t i = 0; i < option_count; i++) {
        if (!(option_table[i].verbs & verb_bit(verb)))
            elsewhere |= !strcmp(option_table[i].name, name);
        else if (nearer(name, option_table[i].name, &best))
            found = option_table[i].name;
    }
    if (elsewhere)
        return cli_fail(CLI_USAGE, "--%s is not an option of %s; see 'akiembed %s --help'", name, verb->name, verb->name);
    if (found)
        return cli_fail(CLI_USAGE, "no option --%s; did you mean --%s? See 'akiembed %s --help'", name, found, verb->name);
    return cli_fail(CLI_USAGE, "no option --%s; see 'akiembed %s --help' (a text that begins with - goes behind --)", name, verb->name);
}

void option_variable(char out[64], const struct option *option)
{
    size_t at = (size_t)snprintf(out, 64, "AKIEMBED_");

    for (const char *s = option->name; *s && at < 63; s++)
        out[at++] = *s == '-' ? '_' : (char)toupper((unsigned char)*s);
    out[at] = '\0';
}

size_t option_choice(const struct option *option, size_t i, const char **text)
{
    const char *s = option->value;

    while (i-- && s)
        s = (s = strchr(s, '|')) ? s + 1 : NULL;
    *text = s;
    return s ? strcspn(s, "|") : 0;
}

/* ---------------------------------------------------------------- values ---------------------------------------- */

static void *field_of(struct options *o, const struct option *option)
{
    return (char *)o + option->field;
}

static int set_flag(int *field, const char *where, const char *value)
{
    static const char *const yes[] = { "1", "true", "yes", "on" }, *const no[] = { "0", "false", "no", "off" };

    for (size_t i = 0; value && i < sizeof yes / sizeof *yes; i++) {
        if (!strcasecmp(value, yes[i]) || !strcasecmp(value, no[i])) {
            *field = !strcasecmp(value, yes[i]);
            return CLI_OK;
        }
    }
    if (value)
        return cli_fail(CLI_USAGE, "%s is 1 or 0, not '%s'", where, value);
    *field = 1;
    return CLI_OK;
}

static int set_count(int *field, const struct option *option, const char *where, const char *value)
{
    char *end;

    errno = 0;
    long number = strtol(value, &end, 10);
    if (end != value && !*end && !errno && !isspace((unsigned char)*value) && number >= option->least && number <= option->most) {
        *field = (int)number;
        return CLI_OK;
    }
    if (option->most == INT_MAX)
        return cli_fail(CLI_USAGE, "%s is a number of %d or more, not '%s'", where, option->least, value);
    return cli_fail(CLI_USAGE, "%s is a number from %d to %d, not '%s'", where, option->least, option->most, value);
}

static int set_choice(int *field, const struct option *option, const char *where, const char *value)
{
    const char *choice;
    size_t size;

    for (size_t i = 0; (size = option_choice(option, i, &choice)); i++) {
        if (strlen(value) == size && !memcmp(value, choice, size)) {
            *field = (int)i + 1;
            return CLI_OK;
        }
    }
    return cli_fail(CLI_USAGE, "%s is one of %s, not '%s'", where, option->value, value);
}

static int set_device_option(struct options *o, const char *where, const char *value)
{
    const char *equals = strchr(value, '=');

    if (!equals || equals == value)
        return cli_fail(CLI_USAGE, "%s is KEY=VALUE, not '%s'", where, value);
    if (o->device_option_count == DEVICE_OPTION_LIMIT)
        return cli_fail(CLI_USAGE, "%s: at most %d of them", where, DEVICE_OPTION_LIMIT);
    o->device_options[o->device_option_count++] = value;
    return CLI_OK;
}

static int add_model(struct options *o, const char *where, const char *value)
{
    if (!*value)
        return cli_fail(CLI_USAGE, "%s is MODEL or NAME=MODEL", where);
    if (o->model_count == MODEL_LIMIT)
        return cli_fail(CLI_USAGE, "%s: at most %d of them", where, MODEL_LIMIT);
    o->models[o->model_count++] = value;
    return CLI_OK;
}

/* Verbs that read texts have one --file for both: no file of texts is called so. */
static bool is_onnx(const struct option *option, const char *value)
{
    size_t size = strlen(value);

    return option->field == AT(file) && option->letter && size > 5 && !strcmp(value + size - 5, ".onnx");
}

/* where: what to call the option in an error, "--dim" or "AKIEMBED_DIM". */
static int set(struct options *o, const struct option *option, const char *where, const char *value, unsigned char source)
{
    void *field = field_of(o, option);

    if (option->kind == OPTION_TEXT && is_onnx(option, value)) {
        o->onnx = value;
        return CLI_OK;
    }
    o->source[option - option_table] = source;
    switch (option->kind) {
    case OPTION_FLAG:   return set_flag(field, where, value);
    case OPTION_NUMBER:  return set_count(field, option, where, value);
    case OPTION_CHOICE: return set_choice(field, option, where, value);
    case OPTION_LIST:   return option->field == AT(models) ? add_model(o, where, value) : set_device_option(o, where, value);
    default:
        *(const char **)field = value;
        return CLI_OK;
    }
}

/* ---------------------------------------------------------------- parsing --------------------------------------- */

/* What remains of the arguments. */
struct words {
    char **next, **end;
};

static int take_value(struct words *w, const char *where, const char **value)
{
    if (w->next == w->end)
        return cli_fail(CLI_USAGE, "%s needs a value", where);
    *value = *w->next++;
    return CLI_OK;
}

static int parse_long(struct options *o, struct words *w, const char *word)
{
    const char *equals = strchr(word, '='), *value = equals ? equals + 1 : NULL;
    size_t size = equals ? (size_t)(equals - word) : strlen(word);
    const struct option *option = find_long(o->verb, word, size);
    char where[64];
    int rc = CLI_OK;

    snprintf(where, sizeof where, "--%.*s", size > 60 ? 60 : (int)size, word);
    if (!option)
        return fail_unknown(o->verb, where + 2);
    if (option->kind != OPTION_FLAG && !value)
        rc = take_value(w, where, &value);
    return rc ? rc : set(o, option, where, value, SOURCE_TYPED);
}

/* "-qv", "-f-", "-f FILE". */
static int parse_letters(struct options *o, struct words *w, const char *word)
{
    for (const char *s = word; *s; s++) {
        const struct option *option = find_letter(o->verb, *s);
        const char *value = NULL;
        char where[4] = { '-', *s, '\0', '\0' };
        int rc = CLI_OK;

        if (!option)
            return cli_fail(CLI_USAGE, "no option -%.8s; see 'akiembed %s --help' (a text that begins with - goes behind --)", s,
                            o->verb->name);
        if (option->kind == OPTION_FLAG) {
            rc = set(o, option, where, NULL, SOURCE_TYPED);
        } else {
            value = s[1] ? s + 1 : NULL;
            rc = value ? CLI_OK : take_value(w, where, &value);
            return rc ? rc : set(o, option, where, value, SOURCE_TYPED);
        }
        if (rc)
            return rc;
    }
    return CLI_OK;
}

static bool is_set(const struct options *o, size_t i)
{
    const struct option *option = &option_table[i];

    return o->source[i] && (option->kind != OPTION_FLAG || *(const int *)((const char *)o + option->field));
}

/* The rival of row i that is set, or NULL. */
static const struct option *find_rival(const struct options *o, size_t i)
{
    for (size_t k = 0; k < option_count; k++)
        if (k != i && option_table[k].rivals && option_table[k].rivals == option_table[i].rivals && is_set(o, k))
            return &option_table[k];
    return NULL;
}

/* What is typed wins over the environment, also where it excludes it: a variable is then passed over, not an error. */
static int read_environment(struct options *o)
{
    bool has_texts = o->word_count > (o->verb == &verbs[VERB_SIMILARITY]);

    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        const struct option *rival = find_rival(o, i);
        char name[64];
        int rc = CLI_OK;

        if (!(option->verbs & verb_bit(o->verb)) || option->field == AT(help))
            continue;
        option_variable(name, option);
        char *value = system_variable(name);
        if (value && is_onnx(option, value)) {
            o->onnx = o->onnx ? o->onnx : value;
            continue;
        }
        if (o->source[i])
            continue;
        if (!value || !*value || (rival && o->source[rival - option_table] == SOURCE_TYPED))
            continue;
        if (has_texts && (option->field == AT(file) || option->field == AT(jsonl) || option->field == AT(null)))
            continue;
        if (option->kind != OPTION_LIST)
            rc = set(o, option, name, value, SOURCE_ENVIRONMENT);
        else
            for (char *rest, *part = strtok_r(value, ",", &rest); part && !rc; part = strtok_r(NULL, ",", &rest))
                rc = set(o, option, name, part, SOURCE_ENVIRONMENT);
        if (rc)
            return rc;
    }
    return CLI_OK;
}

int options_parse(struct options *o, const struct verb *verb, int count, char **arguments)
{
    struct words w = { arguments, arguments + count };
    const char **words = (const char **)arguments;      /* words are moved to the front: there are never more than were read */
    int rc = CLI_OK;

    memset(o, 0, sizeof *o);
    o->verb = verb;
    o->words = words;
    while (w.next < w.end && !rc) {
        const char *word = *w.next++;
        if (!strcmp(word, "--")) {
            while (w.next < w.end)
                words[o->word_count++] = *w.next++;
        } else if (word[0] == '-' && word[1] == '-') {
            rc = parse_long(o, &w, word + 2);
        } else if (word[0] == '-' && word[1]) {
            rc = parse_letters(o, &w, word + 1);
        } else {
            words[o->word_count++] = word;
        }
    }
    if (rc || o->help)
        return o->help ? CLI_OK : rc;
    rc = read_environment(o);
    for (size_t i = 0; i < option_count && !rc; i++) {
        const struct option *rival = is_set(o, i) ? find_rival(o, i) : NULL;
        if (rival)
            rc = cli_fail(CLI_USAGE, "--%s and --%s exclude each other", option_table[i].name, rival->name);
    }
    return rc;
}

bool options_typed(const struct options *o, size_t field)
{
    for (size_t i = 0; i < option_count; i++)
        if (option_table[i].field == field && o->source[i] == SOURCE_TYPED)
            return true;
    return false;
}

bool options_given(const struct options *o, size_t field)
{
    for (size_t i = 0; i < option_count; i++)
        if (option_table[i].field == field && o->source[i] != SOURCE_NONE)
            return true;
    return false;
}
