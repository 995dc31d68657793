/* Unit options: the tables of verbs and options. They are data alone; options.c reads them. See options.h. */
#include "options.h"

#include "util/names.h"

#include <limits.h>

const struct verb verbs[VERB_COUNT] = {
    { "embed", "a vector for each text",
      "[OPTIONS] TEXT...\n[OPTIONS] -f FILE\n[OPTIONS] < FILE",
      "akiembed embed -m all-MiniLM-L6-v2 \"a cat\" \"a dog\"\n"
      "akiembed embed -f lines.txt -o vectors.npy\n"
      "akiembed embed -f rows.jsonl --field body -o vectors.jsonl --resume\n"
      "akiembed embed -f table.csv --column text -o vectors.npy\n"
      "akiembed embed --kind query \"how do cats purr\" --format raw > query.f32\n"
      "akiembed embed -f books.txt --null --chunk 256 --overlap 32",
      "A jsonl row is {\"index\":0,\"tokens\":7,\"embedding\":[...]}; json is one array of such rows; npy is [rows, dim]; raw is the "
      "numbers alone, little-endian; csv has a heading. Numbers are printed so that they parse back to the same float. Other members of the input's "
      "objects, or other columns of a CSV, are in the jsonl rows too.\n"
      "While -o FILE is not finished FILE.resume stands beside it: with it --resume knows what was begun, and refuses another model, other options or "
      "other texts; without --resume or --force a half-done file is not overwritten.\n"
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
      "[OPTIONS] QUERY TEXT...\n[OPTIONS] QUERY -f FILE\n[OPTIONS] QUERY < FILE\n[OPTIONS] QUERY --vectors FILE.npy [--texts FILE]\n"
      "[OPTIONS] --duplicates --vectors FILE.npy [--texts FILE]",
      "akiembed similarity \"how do cats purr\" \"A cat's larynx\" \"Dog food\"\n"
      "akiembed similarity \"how do cats purr\" -f lines.txt --top 10\n"
      "akiembed similarity \"how do cats purr\" -f lines.txt --json\n"
      "akiembed similarity \"how do cats purr\" --vectors vectors.npy --texts lines.txt\n"
      "akiembed similarity --duplicates --vectors vectors.npy --texts lines.txt",
      "Scores are cosines. Where the model has prompts for queries and documents, QUERY and the texts get them. A row is score, the text's number "
      "from 1 (its line) and the text.\n"
      "--vectors compares the query with every row of a mapped file. Rows of f16, int8, uint8 and bits count as the numbers they stand for; the "
      "ranges of int8 are those in FILE.npy.ranges.npy, which embed leaves there. Use the model that FILE.npy was made with.\n"
      "A row of --duplicates is score, the number of a text, that of the nearest text before it, and the text. Texts that are in no row are the set "
      "without duplicates.",
      similarity_run },
    { "rerank", "how well texts answer a query, by a cross-encoder, best first",
      "[OPTIONS] QUERY TEXT...\n[OPTIONS] QUERY -f FILE\n[OPTIONS] QUERY < FILE\n[OPTIONS] --pairs -f FILE",
      "akiembed rerank -m cross-encoder/ms-marco-MiniLM-L6-v2 \"how do cats purr\" \"A cat's larynx\" \"Dog food\"\n"
      "akiembed rerank -m BAAI/bge-reranker-base \"how do cats purr\" -f lines.txt --top 10\n"
      "akiembed rerank -m BAAI/bge-reranker-base --pairs -f pairs.jsonl > scores.jsonl",
      "A table on a terminal, else a line for each text, {\"index\":0,\"score\":0.93}, the best first; index is the text's number from 0. Scores are "
      "those of sentence-transformers' CrossEncoder: the model's files say whether they are logits or go from 0 to 1. Of a pair too long the longer text "
      "loses its end.\n"
      "A line of --pairs is a JSON array [query, text]; their scores come in the order of the lines.",
      rerank_run },
    { "classify", "the labels of each text, by a classifier, best first",
      "[OPTIONS] TEXT...\n[OPTIONS] -f FILE\n[OPTIONS] < FILE",
      "akiembed classify -m distilbert/distilbert-base-uncased-finetuned-sst-2-english \"what a film\"\n"
      "akiembed classify -m cross-encoder/nli-MiniLM2-L6-H768 -f pairs.jsonl",
      "A row is {\"index\":0, \"labels\":[{\"label\":\"positive\", \"score\":0.98}, ...]}, all labels of the model. Scores are probabilities: softmax where "
      "one of several labels applies, else sigmoid. With --jsonl a line that is a JSON array of two strings is a pair.",
      classify_run },
    { "info", "what a model is and how it runs here",
      "[OPTIONS]",
      "akiembed info -m all-MiniLM-L6-v2\nakiembed info --json",
      "", info_run },
    { "quantize", "an int8 copy of a model's folder, small and quick to open",
      "[OPTIONS] FOLDER OUT",
      "akiembed quantize all-MiniLM-L6-v2 all-MiniLM-L6-v2-int8\n"
      "akiembed quantize Qwen/Qwen3-Embedding-0.6B qwen3-int8\n"
      "akiembed quantize --calibrate titles.txt Qwen/Qwen3-Embedding-0.6B qwen3-int8",
      "OUT is a new folder, or an empty one. Vectors of built-in texts, and of the file's, are compared with those of f32: where int8 alone does "
      "not keep a cosine of 0.999, parts of the network stay f32, as few as possible. OUT gets a SHA256SUMS of its files, for sha256sum -c and for "
      "--check-files. docs/quantised-folder.md describes the files.",
      quantize_run },
    { "export", "a model's network as an ONNX file",
      "[OPTIONS] FOLDER OUT.onnx",
      "akiembed export all-MiniLM-L6-v2 minilm.onnx\n"
      "akiembed export --pooled --f16 Qwen/Qwen3-Embedding-0.6B qwen3.onnx\n"
      "akiembed export --for coreml --batch 8 all-MiniLM-L6-v2 minilm.onnx",
      "The file takes input_ids and attention_mask, any number of texts of any length, and gives last_hidden_state, or sentence_embedding with "
      "--pooled. A classifier's gives logits, and takes token_type_ids where the model has them. It needs standard operators only (opset 21), so that any ONNX runtime can run it. Weights above 1.9 GiB go to OUT.onnx.data "
      "beside it. --for coreml writes what --device coreml runs, for converters and for looking at: docs/coreml.md describes its inputs.",
      export_run },
    { "verify", "the vectors of a precision and device against f32 on the cpu",
      "[OPTIONS]\n[OPTIONS] -f FILE",
      "akiembed verify --precision int8\n"
      "akiembed verify -m qwen3-int8 --against Qwen/Qwen3-Embedding-0.6B\n"
      "akiembed verify --precision int8 -f lines.txt --json",
      "The texts are built in, in many languages, or those of FILE, at most 2000 of them. A quantised folder has no f32 weights left: without "
      "--against it is compared with itself only, and exit status 8 says that it is not verified. Exit status 7 where a value is below its bound. "
      "Of a classifier or cross-encoder the probabilities of a query with each text are compared.",
      verify_run },
    { "bench", "how fast a model is here",
      "[OPTIONS]\n[OPTIONS] --texts FILE",
      "akiembed bench\nakiembed bench --precision int8 --seconds 30 --json\nakiembed bench -m all-MiniLM-L6-v2 --texts lines.txt",
      "Times are milliseconds of a call, and their percentiles. Every text is another one, so that nothing can be reused; but queries begin "
      "with the model's prompt, which a causal model computes once (--prefix-cache). Of a classifier or cross-encoder calls are scored pairs, a short query before each text.",
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
      "it is " OPTIONS_MODEL ". The hub is that of HF_ENDPOINT, the token that of HF_TOKEN or of 'hf auth login'; HF_HUB_OFFLINE is "
      "--offline. docs/models.md says which files, and what each error means.",
      pull_run },
#endif
    { "models", "the models in the cache, and those known to work",
      "[OPTIONS]",
      "akiembed models\nakiembed models --known\nakiembed models --json",
      "", models_run },
    { "rm", "take a model out of the cache",
      "[OPTIONS] NAME[@REVISION]",
      "akiembed rm minilm\nakiembed rm intfloat/multilingual-e5-small@refs/pr/1\nakiembed rm --compiled",
      "Without REVISION the whole model goes, with it one revision and what no other one needs.",
      rm_run },
    { "check", "all that is wrong with a model's files",
      "[OPTIONS] FOLDER",
      "akiembed check all-MiniLM-L6-v2\nakiembed check Qwen/Qwen3-Embedding-0.6B --json",
      "Reads every file to its end: configurations, tokenizer, each tensor's shape, type and numbers, and hashes where they are known (SHA256SUMS, "
      "or the names that a hub's cache gives its files). Reports everything that is wrong, not only the first; exit status 7 then.",
      check_run },
    { "completion", "a script that completes akiembed's words in a shell",
      "bash|zsh|fish",
      "akiembed completion bash > ~/.local/share/bash-completion/completions/akiembed\n"
      "akiembed completion zsh > \"${fpath[1]}/_akiembed\"\n"
      "akiembed completion fish > ~/.config/fish/completions/akiembed.fish",
      "", completion_run },
};

/* Sets of verbs, for the column of that name. A verb that is not built in is an empty set. */
enum {
    EMBED = 1u << VERB_EMBED, TOKENIZE = 1u << VERB_TOKENIZE, SIMILARITY = 1u << VERB_SIMILARITY, RERANK = 1u << VERB_RERANK, CLASSIFY = 1u << VERB_CLASSIFY, INFO = 1u << VERB_INFO,
    QUANTIZE = 1u << VERB_QUANTIZE, EXPORT = 1u << VERB_EXPORT, VERIFY = 1u << VERB_VERIFY, BENCH = 1u << VERB_BENCH,
    DEVICES = 1u << VERB_DEVICES, MODELS = 1u << VERB_MODELS, RM = 1u << VERB_RM, CHECK = 1u << VERB_CHECK, COMPLETION = 1u << VERB_COMPLETION,
#ifdef CLI_SERVE
    SERVE = 1u << VERB_SERVE,
#else
    SERVE = 0,
#endif
#ifdef CLI_PULL
    PULL = 1u << VERB_PULL,
#else
    PULL = 0,
#endif
    SCORES = RERANK | CLASSIFY,
    READS = EMBED | TOKENIZE | SIMILARITY | SCORES | VERIFY,              /* texts from --file or standard input */
    OPENS = EMBED | SIMILARITY | SCORES | INFO | VERIFY | BENCH | SERVE,  /* a model to compute with */
    ALL = (1u << VERB_COUNT) - 1,
};

#define AT(name) offsetof(struct options, name)
#define CHOICES(...) ((const char *const[]){ __VA_ARGS__, NULL })
/* Those of a list of util/names.h. */
#define ONE(name)   name,
#define WORDS(LIST) ((const char *const[]){ LIST(ONE) NULL })

const struct option option_table[] = {
    { .name = "file", .letter = 'f', .kind = OPTION_TEXT, .verbs = READS, .group = "Input", .value = "FILE", .field = AT(file),
      .suffix = ".onnx", .suffix_field = AT(weights),
      .help = "texts, one a line; - is standard input; NAME.jsonl, NAME.csv and NAME.tsv are read as such. (NAME.onnx: the model's file, see --file "
              "of info)" },
    { .name = "jsonl", .kind = OPTION_FLAG, .verbs = READS, .group = "Input", .field = AT(jsonl),
      .rivals = 1, .help = "lines are JSON strings, or objects with \"text\"; embed's jsonl rows keep their other members" },
    { .name = "field", .kind = OPTION_TEXT, .verbs = READS | BENCH | QUANTIZE, .group = "Input", .value = "NAME", .field = AT(field), .rivals = 7,
      .help = "the text is this member of the objects, not \"text\"; implies --jsonl" },
    { .name = "csv", .kind = OPTION_FLAG, .verbs = READS, .group = "Input", .field = AT(csv),
      .rivals = 1, .help = "comma-separated values under a heading, quoted where needed; needs --column" },
    { .name = "column", .kind = OPTION_TEXT, .verbs = READS | BENCH | QUANTIZE, .group = "Input", .value = "NAME", .field = AT(column), .rivals = 7,
      .help = "the column of a CSV that has the texts; implies --csv. embed's jsonl rows keep the others" },
    { .name = "null", .kind = OPTION_FLAG, .verbs = READS, .group = "Input", .field = AT(null),
      .rivals = 1, .help = "texts end with a NUL byte, not at a line's end" },
    { .name = "texts", .kind = OPTION_TEXT, .verbs = BENCH, .group = "Input", .value = "FILE", .field = AT(bench.texts),
      .preset_note = "made up", .help = "texts for the bulk row, one a line" },
    { .name = "vectors", .kind = OPTION_TEXT, .verbs = SIMILARITY, .group = "Input", .value = "FILE.npy", .field = AT(similarity.vectors),
      .help = "search in these vectors, which embed -o FILE.npy wrote in any --dtype, instead of embedding texts" },
    { .name = "texts", .kind = OPTION_TEXT, .verbs = SIMILARITY, .group = "Input", .value = "FILE", .field = AT(similarity.texts),
      .help = "the texts that --vectors were made of, to be shown" },
    { .name = "duplicates", .kind = OPTION_FLAG, .verbs = SIMILARITY, .group = "Input", .field = AT(similarity.duplicates),
      .help = "no query: each row of --vectors that is near to an earlier one, and that one" },
    { .name = "pairs", .kind = OPTION_FLAG, .verbs = RERANK, .group = "Input", .field = AT(rerank.pairs),
      .help = "no query: each line of --file is a JSON array [query, text]" },
    { .name = "decode", .kind = OPTION_FLAG, .verbs = TOKENIZE, .group = "Input", .field = AT(tokenize.decode), .rivals = 3,
      .help = "lines are ids; gives their texts" },

    { .name = "model", .letter = 'm', .kind = OPTION_TEXT, .verbs = OPENS & ~SERVE, .group = "Model", .value = "MODEL",
      .field = AT(model), .preset = OPTIONS_MODEL, .help = "a model's folder, or its name in the Hugging Face cache" },
    { .name = "model", .letter = 'm', .kind = OPTION_TEXT, .verbs = TOKENIZE, .group = "Model", .value = "MODEL", .field = AT(model),
      .preset = OPTIONS_MODEL, .help = "a model's folder or name, a tokenizer.json, or a folder with one" },
    { .name = "model", .letter = 'm', .kind = OPTION_LIST, .verbs = SERVE, .group = "Model", .value = "NAME=MODEL",
      .field = AT(serve.models), .preset = OPTIONS_MODEL,
      .help = "a model's folder or name, and what clients call it; they may also use the last part of either; may be repeated" },
    { .name = "file", .kind = OPTION_TEXT, .verbs = INFO | BENCH | SERVE | PULL, .group = "Model", .value = "NAME", .field = AT(weights),
      .help = "this file of the model instead of model.safetensors or its shards, as onnx/model_int8.onnx" },
    { .name = "offline", .kind = OPTION_FLAG, .verbs = PULL, .group = "Model", .field = AT(pull.offline),
      .help = "no network: only say where the model is in the cache" },
    { .name = "precision", .kind = OPTION_CHOICE, .verbs = OPENS, .group = "Model",
      .choices = WORDS(AKI_PRECISIONS), .field = AT(precision),
      .preset_note = "f32; a quantised folder is int8 by itself", .help = "what to compute in: int8 on the cpu, bf16 on cpus with AVX512-BF16, f16 on other devices" },
    { .name = "device", .kind = OPTION_TEXT, .verbs = OPENS, .group = "Model", .value = "NAME", .field = AT(device), .preset = "cpu",
      .help = "cpu, auto, coreml, cuda, dml, webgpu, openvino, or another of akiembed devices" },
    { .name = "device-option", .kind = OPTION_LIST, .verbs = OPENS, .group = "Model", .value = "KEY=VALUE", .field = AT(device_options),
      .help = "a setting of the device's provider, or aki.shapes=fixed|free; may be repeated" },
    { .name = "device-plugin", .kind = OPTION_TEXT, .verbs = OPENS | DEVICES, .group = "Model", .value = "PATH",
      .field = AT(device_plugin), .help = "a library that adds devices (NAME=PATH: under that name)" },
    { .name = "device-fallback", .kind = OPTION_FLAG, .verbs = OPENS, .group = "Model", .field = AT(device_fallback),
      .help = "compute on the cpu where the device cannot be used" },
    { .name = "test-cache", .kind = OPTION_CHOICE, .verbs = OPENS, .group = "Model",
      .choices = CHOICES("on", "renew", "off"), .field = AT(test_cache), .preset = "on",
      .help = "a device's self-test: remembered from an earlier open, done and remembered anew, or done and not remembered" },
    { .name = "max-buckets", .kind = OPTION_NUMBER, .verbs = OPENS, .group = "Model", .value = "N", .field = AT(max_buckets),
      .library = "max_buckets", .help = "sessions that a device with fixed shapes may have at a time" },
    { .name = "threads", .kind = OPTION_TEXT, .verbs = BENCH, .group = "Model", .value = "N[,N...]", .field = AT(bench.threads),
      .preset_note = "the physical cores", .help = "threads to compute with; of several numbers, how the time changes with them" },
    { .name = "threads", .kind = OPTION_NUMBER, .verbs = OPENS & ~BENCH, .group = "Model", .value = "N", .field = AT(threads),
      .library = "threads", .least = 1, .preset_note = "the physical cores", .help = "threads to compute with" },
    { .name = "max-batch-tokens", .kind = OPTION_NUMBER, .verbs = OPENS, .group = "Model", .value = "N", .field = AT(max_batch_tokens),
      .library = "max_batch_tokens", .help = "tokens computed at once: bounds memory" },
    { .name = "prefix-cache", .kind = OPTION_NUMBER, .verbs = OPENS, .group = "Model", .value = "MIB", .field = AT(prefix_cache),
      .library = "prefix_cache_mb", .preset_note = "0: none", .help = "memory for beginnings that texts share, of causal models" },
    { .name = "check-files", .kind = OPTION_FLAG, .verbs = OPENS | TOKENIZE | QUANTIZE | EXPORT, .group = "Model",
      .field = AT(check_files), .help = "check the folder's files by its SHA256SUMS before they are read" },
    { .name = "calibrate", .kind = OPTION_TEXT, .verbs = QUANTIZE, .group = "Quantising", .value = "FILE", .field = AT(quantize.calibrate),
      .rivals = 7, .help = "texts, one a line, to measure with besides those built in" },
    { .name = "by-weights", .kind = OPTION_FLAG, .verbs = QUANTIZE, .group = "Quantising", .field = AT(quantize.by_weights), .rivals = 7,
      .help = "measure nothing: leave in f32 what --precision int8 does, for the same bits" },
    { .name = "against", .kind = OPTION_TEXT, .verbs = VERIFY, .group = "Model", .value = "MODEL", .field = AT(verify.against),
      .help = "the model that a quantised folder was made from" },

    { .name = "host", .kind = OPTION_TEXT, .verbs = SERVE, .group = "Server", .value = "NAME", .field = AT(serve.host),
      .preset = "127.0.0.1", .help = "address to listen on" },
    { .name = "port", .kind = OPTION_NUMBER, .verbs = SERVE, .group = "Server", .value = "N", .field = AT(serve.port), .least = 0,
      .most = 65535, .preset = "8080", .preset_note = "0: any free one", .help = "port to listen on" },
    { .name = "unix", .kind = OPTION_TEXT, .verbs = SERVE, .group = "Server", .value = "PATH", .field = AT(serve.unix_path),
      .help = "listen on a socket in the file system instead" },
    { .name = "unix-mode", .kind = OPTION_TEXT, .verbs = SERVE, .group = "Server", .value = "MODE", .field = AT(serve.unix_mode),
      .preset = "660", .help = "its rights, octal" },
    { .name = "api-keys", .kind = OPTION_TEXT, .verbs = SERVE, .group = "Server", .value = "FILE", .field = AT(serve.api_keys),
      .help = "keys, one a line; a client needs one of them" },
    { .name = "tls-cert", .kind = OPTION_TEXT, .verbs = SERVE, .group = "Server", .value = "FILE", .field = AT(serve.tls_cert),
      .help = "certificate chain in PEM: serve HTTPS" },
    { .name = "tls-key", .kind = OPTION_TEXT, .verbs = SERVE, .group = "Server", .value = "FILE", .field = AT(serve.tls_key),
      .help = "its private key in PEM" },
    { .name = "cors", .kind = OPTION_TEXT, .verbs = SERVE, .group = "Server", .value = "ORIGIN", .field = AT(serve.cors),
      .preset_note = "none", .help = "let web pages of that origin ask; * is any" },
    { .name = "any-model", .kind = OPTION_FLAG, .verbs = SERVE, .group = "Server", .field = AT(serve.any_model),
      .help = "take an unknown model's name for the first one's" },
    { .name = "preload", .kind = OPTION_FLAG, .verbs = SERVE, .group = "Server", .field = AT(serve.preload),
      .help = "open all models at the start, not only the first" },
    { .name = "idle-close", .kind = OPTION_NUMBER, .verbs = SERVE, .group = "Server", .value = "SECONDS", .field = AT(serve.idle_close),
      .least = 0, .most = INT_MAX, .preset = "0", .preset_note = "0: never", .help = "close a model that nobody used for that long" },

    { .name = "max-inputs", .kind = OPTION_NUMBER, .verbs = SERVE, .group = "Limits", .value = "N", .field = AT(serve.max_inputs),
      .least = 1, .most = 1 << 20, .preset = "32", .help = "texts in a request of TEI and AkiDB" },
    { .name = "max-inputs-openai", .kind = OPTION_NUMBER, .verbs = SERVE, .group = "Limits", .value = "N",
      .field = AT(serve.max_inputs_openai), .least = 1, .most = 1 << 20, .preset = "2048",
      .help = "texts in a request of OpenAI and Ollama" },
    { .name = "max-body", .kind = OPTION_NUMBER, .verbs = SERVE, .group = "Limits", .value = "BYTES", .field = AT(serve.max_body),
      .least = 1, .most = 1 << 30, .preset = "2000000", .help = "longest body of a request" },
    { .name = "max-answer", .kind = OPTION_NUMBER, .verbs = SERVE, .group = "Limits", .value = "BYTES", .field = AT(serve.max_answer),
      .least = 1000, .most = 1 << 29, .preset = "268435456",
      .help = "longest answer; what would be longer is not computed, but refused with 422" },
    { .name = "max-queue-tokens", .kind = OPTION_NUMBER, .verbs = SERVE, .group = "Limits", .value = "N",
      .field = AT(serve.max_queue_tokens), .least = 1, .most = INT_MAX, .preset = "262144",
      .help = "tokens that may wait; more is answered with 429" },
    { .name = "max-connections", .kind = OPTION_NUMBER, .verbs = SERVE, .group = "Limits", .value = "N",
      .field = AT(serve.max_connections), .least = 1, .most = 1 << 20, .preset = "4096", .help = "connections at a time" },
    { .name = "http-threads", .kind = OPTION_NUMBER, .verbs = SERVE, .group = "Limits", .value = "N", .field = AT(serve.http_threads),
      .least = 1, .most = 256, .preset = "2", .help = "threads that read, tokenise and answer" },
    { .name = "deadline", .kind = OPTION_NUMBER, .verbs = SERVE, .group = "Limits", .value = "SECONDS", .field = AT(serve.deadline),
      .least = 0, .most = INT_MAX, .preset = "60", .preset_note = "0: none",
      .help = "a request not computed by then is answered with 503" },
    { .name = "idle-timeout", .kind = OPTION_NUMBER, .verbs = SERVE, .group = "Limits", .value = "SECONDS",
      .field = AT(serve.idle_timeout), .least = 1, .most = 86400, .preset = "75", .help = "close a connection on which nothing happens" },
    { .name = "header-timeout", .kind = OPTION_NUMBER, .verbs = SERVE, .group = "Limits", .value = "SECONDS",
      .field = AT(serve.header_timeout), .least = 1, .most = 86400, .preset = "10", .help = "time for a request's headers" },
    { .name = "body-timeout", .kind = OPTION_NUMBER, .verbs = SERVE, .group = "Limits", .value = "SECONDS",
      .field = AT(serve.body_timeout), .least = 1, .most = 86400, .preset = "30", .help = "time for a request's body" },
    { .name = "write-timeout", .kind = OPTION_NUMBER, .verbs = SERVE, .group = "Limits", .value = "SECONDS",
      .field = AT(serve.write_timeout), .least = 1, .most = 86400, .preset = "120", .help = "time to take an answer" },
    { .name = "drain", .kind = OPTION_NUMBER, .verbs = SERVE, .group = "Limits", .value = "SECONDS", .field = AT(serve.drain), .least = 0,
      .most = 86400, .preset = "30", .help = "time to answer what is there, at SIGTERM" },

    { .name = "kind", .kind = OPTION_CHOICE, .verbs = EMBED | TOKENIZE, .group = "Text",
      .choices = WORDS(AKI_KINDS), .field = AT(kind),
      .help = "put the model's prompt of that kind before each text" },
    { .name = "prompt-name", .kind = OPTION_TEXT, .verbs = EMBED | TOKENIZE | SCORES, .group = "Text", .value = "NAME", .field = AT(prompt_name),
      .help = "put that prompt of the model before each text (of a pair, before the first)" },
    { .name = "prompt", .kind = OPTION_TEXT, .verbs = EMBED | TOKENIZE, .group = "Text", .value = "TEXT", .field = AT(prompt),
      .help = "put TEXT before each text" },
    { .name = "instruction", .kind = OPTION_TEXT, .verbs = EMBED | TOKENIZE | SIMILARITY | RERANK, .group = "Text", .value = "TASK",
      .field = AT(instruction), .rivals = 2, .help = "the task in a query prompt \"Instruct: TASK\"" },
    { .name = "no-prompts", .kind = OPTION_FLAG, .verbs = SIMILARITY, .group = "Text", .field = AT(similarity.no_prompts), .rivals = 2,
      .help = "use none of the model's prompts" },
    { .name = "max-tokens", .kind = OPTION_NUMBER, .verbs = EMBED | SIMILARITY | SCORES, .group = "Text", .value = "N", .field = AT(max_tokens),
      .library = "max_tokens", .preset_note = "the model's", .help = "longest text, with prompt and special tokens" },
    { .name = "max-tokens", .kind = OPTION_NUMBER, .verbs = TOKENIZE, .group = "Text", .value = "N", .field = AT(max_tokens),
      .library = "max_tokens", .help = "cut to N tokens, with prompt and special tokens" },
    { .name = "truncate", .kind = OPTION_CHOICE, .verbs = EMBED | TOKENIZE | SIMILARITY | SCORES, .group = "Text",
      .choices = CHOICES("right", "left", "error"), .field = AT(truncate), .preset_note = "the model's, mostly right",
      .help = "what a text too long loses, or fail" },
    { .name = "no-parse-special", .kind = OPTION_FLAG, .verbs = EMBED | TOKENIZE | SIMILARITY | SCORES, .group = "Text",
      .field = AT(no_parse_special), .help = "take special strings such as [SEP] in a text as plain text" },
    { .name = "no-special", .kind = OPTION_FLAG, .verbs = TOKENIZE, .group = "Text", .field = AT(tokenize.no_special),
      .help = "add no special tokens" },
    { .name = "chunk", .kind = OPTION_NUMBER, .verbs = EMBED, .group = "Text", .value = "N", .field = AT(embed.chunk), .least = 1,
      .most = INT_MAX, .rivals = 4,
      .help = "split each text into chunks of at most N tokens, prompt and special tokens included (more where a single character has "
              "more); a vector a chunk" },
    { .name = "overlap", .kind = OPTION_NUMBER, .verbs = EMBED, .group = "Text", .value = "N", .field = AT(embed.overlap), .least = 0,
      .most = INT_MAX, .preset = "0", .help = "tokens that neighbouring chunks share" },
    { .name = "chunk-pool", .kind = OPTION_CHOICE, .verbs = EMBED, .group = "Text",
      .choices = CHOICES("mean"), .field = AT(embed.chunk_pool),
      .help = "a vector a text again: the mean of its chunks" },

    { .name = "pooling", .kind = OPTION_CHOICE, .verbs = EMBED | SIMILARITY, .group = "Vector",
      .choices = WORDS(AKI_POOLINGS), .field = AT(pooling), .preset_note = "the model's",
      .help = "how token vectors become one" },
    { .name = "dim", .kind = OPTION_NUMBER, .verbs = EMBED | SIMILARITY, .group = "Vector", .value = "N", .field = AT(dim),
      .library = "dim", .help = "cut vectors to N elements, then normalise" },
    { .name = "no-normalize", .kind = OPTION_FLAG, .verbs = EMBED, .group = "Vector", .field = AT(embed.no_normalize),
      .help = "leave the length as it comes" },
    { .name = "dtype", .kind = OPTION_CHOICE, .verbs = EMBED, .group = "Vector",
      .choices = CHOICES("f32", "f16", "int8", "uint8", "binary", "ubinary"), .field = AT(embed.dtype), .preset = "f32",
      .help = "type of an element; int8 and uint8 need one of the next two" },
    { .name = "ranges", .kind = OPTION_TEXT, .verbs = EMBED | SIMILARITY, .group = "Vector", .value = "FILE.npy", .field = AT(embed.ranges),
      .rivals = 5, .help = "least and largest value of each element: [2, dim] f32; similarity finds those that embed left beside int8 vectors" },
    { .name = "calibrate", .kind = OPTION_TEXT, .verbs = EMBED, .group = "Vector", .value = "FILE", .field = AT(embed.calibrate),
      .rivals = 5, .help = "texts, one a line, to find these ranges with; -o FILE gets them as FILE.ranges.npy beside it" },
    { .name = "tokens", .kind = OPTION_FLAG, .verbs = EMBED, .group = "Vector", .field = AT(embed.tokens), .rivals = 4,
      .help = "a vector a token, neither pooled nor normalised" },

    { .name = "format", .kind = OPTION_CHOICE, .verbs = EMBED, .group = "Output",
      .choices = CHOICES("jsonl", "json", "npy", "raw", "csv"), .field = AT(embed.format), .preset_note = "what -o's name ends in, else jsonl",
      .help = "what to write" },
    { .name = "f16", .kind = OPTION_FLAG, .verbs = EXPORT, .group = "Output", .field = AT(export.f16),
      .help = "weights and arithmetic in half precision: half the size" },
    { .name = "pooled", .kind = OPTION_FLAG, .verbs = EXPORT, .group = "Output", .field = AT(export.pooled),
      .help = "a vector a text, pooled and normalised as the model says" },
    { .name = "for", .kind = OPTION_CHOICE, .verbs = EXPORT, .group = "Output",
      .choices = CHOICES("portable", "coreml"), .field = AT(export.form),
      .preset = "portable", .help = "any client, or the form that CoreML and other devices are given" },
    { .name = "batch", .kind = OPTION_NUMBER, .verbs = EXPORT, .group = "Output", .value = "N", .field = AT(export.batch), .least = 1,
      .most = 16384, .preset_note = "any number; for coreml 1", .help = "exactly N texts" },
    { .name = "length", .kind = OPTION_NUMBER, .verbs = EXPORT, .group = "Output", .value = "N", .field = AT(export.length), .least = 1,
      .most = INT_MAX, .preset_note = "any; for coreml 128", .help = "exactly N tokens, padding included" },
    { .name = "pieces", .kind = OPTION_FLAG, .verbs = TOKENIZE, .group = "Output", .field = AT(tokenize.pieces), .rivals = 3,
      .help = "the tokens' spelling instead of their ids" },
    { .name = "output", .letter = 'o', .kind = OPTION_TEXT, .verbs = EMBED | TOKENIZE, .group = "Output", .value = "FILE",
      .field = AT(output), .help = "write there, not to standard output" },
    { .name = "resume", .kind = OPTION_FLAG, .verbs = EMBED, .group = "Output", .field = AT(embed.resume),
      .rivals = 8, .help = "go on after the last whole row of a half-done -o FILE; FILE.resume beside it says of what it was made" },
    { .name = "force", .kind = OPTION_FLAG, .verbs = EMBED, .group = "Output", .field = AT(embed.force),
      .rivals = 8, .help = "write -o FILE anew though it is half done" },
    { .name = "top", .kind = OPTION_NUMBER, .verbs = SIMILARITY, .group = "Output", .value = "N", .field = AT(similarity.top), .least = 1,
      .most = INT_MAX, .preset_note = "all; of --vectors 10", .help = "only the N nearest" },
    { .name = "top", .kind = OPTION_NUMBER, .verbs = RERANK, .group = "Output", .value = "N", .field = AT(similarity.top), .least = 1,
      .most = INT_MAX, .preset_note = "all", .help = "only the N best" },
    { .name = "no-sort", .kind = OPTION_FLAG, .verbs = RERANK, .group = "Output", .field = AT(rerank.no_sort), .help = "in the order of the texts" },
    { .name = "raw", .kind = OPTION_FLAG, .verbs = RERANK, .group = "Output", .field = AT(rerank.raw),
      .help = "the model's logits, whatever its files put behind them" },
    { .name = "threshold", .kind = OPTION_TEXT, .verbs = SIMILARITY, .group = "Output", .value = "COSINE", .field = AT(similarity.threshold),
      .preset_note = "0.95", .help = "how near duplicates are, -1 to 1" },
    { .name = "seconds", .kind = OPTION_NUMBER, .verbs = BENCH, .group = "Output", .value = "N", .field = AT(bench.seconds), .least = 1,
      .most = 86400, .preset = "10", .help = "how long to measure, about" },
    { .name = "compiled", .kind = OPTION_FLAG, .verbs = RM, .group = "Model", .field = AT(rm.compiled),
      .help = "what devices keep of all models' compiled programs, in place of a model" },
    { .name = "known", .kind = OPTION_FLAG, .verbs = MODELS, .group = "Output", .field = AT(models.known),
      .help = "models known to work: short name, name, licence, elements" },
    { .name = "json", .kind = OPTION_FLAG, .verbs = SIMILARITY | INFO | VERIFY | BENCH | DEVICES | MODELS | CHECK, .group = "Output",
      .field = AT(json), .help = "one JSON object" },
    { .name = "json", .kind = OPTION_FLAG, .verbs = SCORES, .group = "Output", .field = AT(json), .help = "a JSON object a line, also on a terminal" },

    { .name = "quiet", .letter = 'q', .kind = OPTION_FLAG, .verbs = ALL & ~COMPLETION, .group = "Other", .field = AT(quiet), .rivals = 6,
      .help = "no progress and no warnings, errors only" },
    { .name = "verbose", .letter = 'v', .kind = OPTION_FLAG, .verbs = ALL & ~COMPLETION, .group = "Other", .field = AT(verbose),
      .rivals = 6, .help = "say what is used: folder, device, prompt" },
    { .name = "help", .letter = 'h', .kind = OPTION_FLAG, .verbs = ALL, .group = "Other", .field = AT(help), .help = "this text" },
    { .name = "version", .kind = OPTION_FLAG, .verbs = ALL, .group = "Other", .field = AT(version), .help = "the program's version" },
};
const size_t option_count = sizeof option_table / sizeof *option_table;
_Static_assert(sizeof option_table / sizeof *option_table <= OPTION_LIMIT, "struct options has a source for each row");
