"""The ONNX graph of the Qwen3 shape (make_onnx.py: MatMulNBits, GroupQueryAttention) in onnxruntime or OpenVINO.

--model: a .onnx; --variant: its name; a name that begins with "openvino" runs it there. Padding on the right, batches of 8 sorted by length;
OpenVINO on the graph with GroupQueryAttention one text at a time."""
import common

args = common.arguments()
OPENVINO = args.variant.startswith("openvino")
ONE_BY_ONE = OPENVINO and "plain" not in args.model     # its GroupQueryAttention takes no batch
LAYERS, KV_HEADS, HEAD_DIM = 28, 8, 128


def open_model():
    import numpy as np

    if OPENVINO:
        import openvino as ov

        core = ov.Core()
        compiled = core.compile_model(args.model, "CPU", {"INFERENCE_NUM_THREADS": args.threads, "PERFORMANCE_HINT": "LATENCY"})
        request = compiled.create_infer_request()
        names = {i.any_name for i in compiled.inputs}
        run = lambda feeds: request.infer({k: v for k, v in feeds.items() if k in names})[0]
    else:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = args.threads, 1
        session = ort.InferenceSession(args.model, options, providers=["CPUExecutionProvider"])
        run = lambda feeds: session.run(["hidden"], feeds)[0]

    def batch(ids):
        width = max(map(len, ids))
        block, lengths = np.zeros((len(ids), width), np.int64), np.array([len(r) - 1 for r in ids], np.int32)
        for i, row in enumerate(ids):
            block[i, :len(row)] = row
        past = np.zeros((len(ids), KV_HEADS, 0, HEAD_DIM), np.float32)
        feeds = {"input_ids": block, "seqlens_k": lengths, "total": np.array([width], np.int32), "past": past}
        pooled = run(feeds)[np.arange(len(ids)), lengths]
        return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)

    def embed(ids, texts, row):
        out = [None] * len(ids)
        for part in common.by_length(ids, 1 if ONE_BY_ONE else 8 if row.name.startswith("bulk") else 32):
            for i, vector in zip(part, batch([ids[i] for i in part])):
                out[i] = vector
        return out

    return embed


def version():
    from importlib.metadata import version
    return version("openvino" if OPENVINO else "onnxruntime")


common.main(args.variant if OPENVINO else "onnxruntime " + args.variant, version(), args, open_model)
