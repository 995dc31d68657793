"""llama.cpp by llama-cpp-python's bindings of its C interface. --model: a .gguf (make_gguf.py); ids in, as many texts a batch as fit."""
import sys

import common

args = common.arguments()
BATCH = 2304        # tokens a llama_decode; the longest text of the workloads fits


def open_model():
    import ctypes

    import llama_cpp as l
    import numpy as np

    quiet = l.llama_log_callback(lambda level, text, user: None)
    l.llama_log_set(quiet, ctypes.c_void_p(0))
    l.llama_backend_init()
    model = l.llama_model_load_from_file(args.model.encode(), l.llama_model_default_params())
    params = l.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = BATCH
    params.n_seq_max = 64
    params.kv_unified = True        # a sequence may be as long as the whole context
    params.n_threads = params.n_threads_batch = args.threads
    params.embeddings, params.pooling_type = True, l.LLAMA_POOLING_TYPE_LAST
    context = l.llama_init_from_model(model, params)
    if not context:
        sys.exit("llama.cpp: no context")
    dim = l.llama_model_n_embd(model)
    batch = l.llama_batch_init(BATCH, 0, 64)

    def decode(rows):
        l.llama_memory_clear(l.llama_get_memory(context), True)
        n = 0
        for sequence, ids in enumerate(rows):
            for position, token in enumerate(ids):
                batch.token[n], batch.pos[n], batch.n_seq_id[n], batch.logits[n] = token, position, 1, True
                batch.seq_id[n][0] = sequence
                n += 1
        batch.n_tokens = n
        if l.llama_decode(context, batch):
            sys.exit("llama.cpp: decode failed")
        out = [np.ctypeslib.as_array(l.llama_get_embeddings_seq(context, s), (dim,)).copy() for s in range(len(rows))]
        return [v / np.linalg.norm(v) for v in out]

    def embed(ids, texts, row):
        out, part, used = [], [], 0
        for ids_of_text in ids:
            if part and (used + len(ids_of_text) > BATCH or len(part) == 64):
                out += decode(part)
                part, used = [], 0
            part.append(ids_of_text)
            used += len(ids_of_text)
        return out + decode(part)

    embed.keep = quiet
    return embed


def version():
    from importlib.metadata import version
    return version("llama-cpp-python")


common.main("llama.cpp " + args.variant, version(), args, open_model)
