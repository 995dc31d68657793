"""sentence-transformers, f32, as its users call it: encode(), which sorts by length and pads batches of 32."""
import common

args = common.arguments()


def open_model():
    import sentence_transformers
    import torch

    torch.set_num_threads(args.threads)
    model = sentence_transformers.SentenceTransformer(args.model, device="cpu")
    return lambda ids, texts, row: model.encode(texts, batch_size=32, show_progress_bar=False)


def version():
    from importlib.metadata import version
    return version("sentence-transformers") + ", torch " + version("torch")


common.main("sentence-transformers f32", version(), args, open_model)
