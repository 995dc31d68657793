"""torch + transformers, the Qwen3 shape, last token pooled. --variant f32 or bf16; padding on the right, batches of 8 sorted by length."""
import common

args = common.arguments()


def open_model():
    import torch
    import transformers

    torch.set_num_threads(args.threads)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[args.variant]
    model = transformers.AutoModel.from_pretrained(args.model, dtype=dtype).eval()

    def batch(ids):
        width = max(map(len, ids))
        block = torch.zeros((len(ids), width), dtype=torch.long)
        mask = torch.zeros((len(ids), width), dtype=torch.long)
        for i, row in enumerate(ids):
            block[i, :len(row)], mask[i, :len(row)] = torch.tensor(row), 1
        feeds = {} if len(ids) == 1 else {"attention_mask": mask}
        with torch.inference_mode():
            hidden = model(input_ids=block, use_cache=False, **feeds).last_hidden_state
            pooled = hidden[torch.arange(len(ids)), mask.sum(1) - 1].float()
            return torch.nn.functional.normalize(pooled, dim=1).numpy()

    def embed(ids, texts, row):
        out = [None] * len(ids)
        for part in common.by_length(ids, 8 if row.name.startswith("bulk") else 32):
            for i, vector in zip(part, batch([ids[i] for i in part])):
                out[i] = vector
        return out

    return embed


def version():
    from importlib.metadata import version
    return version("torch") + ", transformers " + version("transformers")


common.main("torch " + args.variant, version(), args, open_model)
