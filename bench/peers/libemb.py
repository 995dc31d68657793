"""libembedding-ng (C on its own ONNX Runtime). --model: a folder with model.onnx, tokenizer.json, config.json."""
import common

args = common.arguments()


def opened(size):
    import libembedding

    model = libembedding.TextEmbedding(args.model, threads=args.threads, offline=True, show_download_progress=False, max_length=256, dim=384,
                                       pooling="mean", batch_size=size)
    return lambda ids, texts, row: model.embed(texts if len(texts) == 1 else sorted(texts, key=len), batch_size=size)


def strategies(embed):
    return {"one at a time": opened(1), "8, sorted": opened(8)}


def version():
    from importlib.metadata import version
    return version("libembedding-ng")


common.main("libembedding-ng " + args.variant, version(), args, lambda: opened(64), strategies)
