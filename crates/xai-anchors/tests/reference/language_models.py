"""Scores of transformers' Flax models for the small random models in `language_models`.

python language_models.py, with transformers 4.48.3, flax 0.12.8, jax 0.10.2 and tokenizers 0.21.4, writes for each
architecture a folder with `config.json`, `tokenizer.json`, `model.safetensors` and the scores, `logits.json`.
The weights are random: what matters is that every one of them has its say.
"""

import json
import pathlib

import jax
import numpy as np
import safetensors.numpy
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

here = pathlib.Path(__file__).parent
jax.config.update("jax_default_matmul_precision", "highest")
SIZE, INNER, LAYERS, HEADS, POSITIONS = 8, 12, 2, 2, 40
TEXTS = ["The soup was tasty.", "a film about rivers, not good", "unheard-of   weather (sunny)!"]
corpus = (here.parent / "fixtures/language_model/text.txt").read_text().splitlines()


def word_pieces():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    alphabet = list("abcdefghijklmnopqrstuvwxyz.,!?-()")
    trainer = trainers.WordPieceTrainer(
        vocab_size=130, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer, 0


def byte_pairs():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True, special=True)]
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, 1


def weights(shapes, seed):
    random = np.random.default_rng(seed)
    centers = lambda name: 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
    draw = lambda name, shape: (centers(name) + random.normal(0, 0.4, shape)).astype(np.float32)
    return {name: draw(name, shape) for name, shape in shapes.items()}


def affine(names, to, sources=None):
    return {f"{name}.{part}": shape for name in names for part, shape in
            (("weight", [to] if sources is None else [to, sources]), ("bias", [to]))}


def bert_like(prefix, n_tokens, n_segments):
    shapes = {
        f"{prefix}.embeddings.word_embeddings.weight": [n_tokens, SIZE],
        f"{prefix}.embeddings.position_embeddings.weight": [POSITIONS, SIZE],
        f"{prefix}.embeddings.token_type_embeddings.weight": [n_segments, SIZE],
    } | affine([f"{prefix}.embeddings.LayerNorm"], SIZE)
    for layer in range(LAYERS):
        of = f"{prefix}.encoder.layer.{layer}"
        attention = [f"{of}.attention.{part}" for part in ("self.query", "self.key", "self.value", "output.dense")]
        shapes |= affine(attention, SIZE, SIZE)
        shapes |= affine([f"{of}.attention.output.LayerNorm", f"{of}.output.LayerNorm"], SIZE)
        shapes |= affine([f"{of}.intermediate.dense"], INNER, SIZE) | affine([f"{of}.output.dense"], SIZE, INNER)
    return shapes


def bert(n_tokens):
    head = "cls.predictions"
    return bert_like("bert", n_tokens, 2) | affine([f"{head}.transform.dense"], SIZE, SIZE) | affine(
        [f"{head}.transform.LayerNorm"], SIZE) | {f"{head}.bias": [n_tokens]}


def roberta(n_tokens):
    return bert_like("roberta", n_tokens, 1) | affine(["lm_head.dense"], SIZE, SIZE) | affine(
        ["lm_head.layer_norm"], SIZE) | {"lm_head.bias": [n_tokens]}


def distilbert(n_tokens):
    shapes = {
        "distilbert.embeddings.word_embeddings.weight": [n_tokens, SIZE],
        "distilbert.embeddings.position_embeddings.weight": [POSITIONS, SIZE],
    } | affine(["distilbert.embeddings.LayerNorm"], SIZE)
    for layer in range(LAYERS):
        of = f"distilbert.transformer.layer.{layer}"
        shapes |= affine([f"{of}.attention.{part}_lin" for part in "qkv"] + [f"{of}.attention.out_lin"], SIZE, SIZE)
        shapes |= affine([f"{of}.sa_layer_norm", f"{of}.output_layer_norm"], SIZE)
        shapes |= affine([f"{of}.ffn.lin1"], INNER, SIZE) | affine([f"{of}.ffn.lin2"], SIZE, INNER)
    return shapes | affine(["vocab_transform"], SIZE, SIZE) | affine(["vocab_layer_norm"], SIZE) | affine(
        ["vocab_projector"], n_tokens, SIZE)


common = dict(hidden_size=SIZE, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=INNER,
              max_position_embeddings=POSITIONS)
cases = {
    "bert": (word_pieces, bert, transformers.FlaxBertForMaskedLM, lambda n, pad: transformers.BertConfig(
        vocab_size=n, pad_token_id=pad, **common)),
    "roberta": (byte_pairs, roberta, transformers.FlaxRobertaForMaskedLM, lambda n, pad: transformers.RobertaConfig(
        vocab_size=n, pad_token_id=pad, type_vocab_size=1, layer_norm_eps=1e-5, **common)),
    "distilbert": (word_pieces, distilbert, transformers.FlaxDistilBertForMaskedLM,
                   lambda n, pad: transformers.DistilBertConfig(
                       vocab_size=n, pad_token_id=pad, dim=SIZE, n_layers=LAYERS, n_heads=HEADS, hidden_dim=INNER,
                       max_position_embeddings=POSITIONS, tie_word_embeddings=False)),
}

for seed, (name, (tokenizer, shapes, model, config)) in enumerate(cases.items()):
    folder = here / "language_models" / name
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer, pad = tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    n_tokens = tokenizer.get_vocab_size()
    config = config(n_tokens, pad)
    (folder / "config.json").write_text(json.dumps(config.to_dict() | {"transformers_version": None}, indent=1))
    tensors = weights(shapes(n_tokens), seed)
    safetensors.numpy.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    flax = model.from_pretrained(folder, from_pt=True)
    answers = []
    for text in TEXTS:
        encoding = tokenizer.encode(text)
        ids = encoding.ids
        logits = np.asarray(flax(np.array([ids])).logits)[0]
        assert np.isfinite(logits).all()
        # The text's own tokens alone; scores at every third of them.
        scores = [[round(float(score), 5) for score in row] for row in logits[1:-1:3]]
        answers.append({"text": text, "ids": ids[1:-1], "offsets": encoding.offsets[1:-1], "logits": scores})
    (folder / "logits.json").write_text(json.dumps(answers) + "\n")
    print(name, n_tokens, float(np.abs(logits).max()))
