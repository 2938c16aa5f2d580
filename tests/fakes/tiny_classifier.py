"""Token classifiers small enough to make in a test: weights and vocabularies that never change.

Nothing here depends on a library's random numbers or training, so that outputs that another
program made of the same folder (`benchmarks/parity_llmlingua2.py`) stay true.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForTokenClassification,
    MobileBertConfig,
    MobileBertForTokenClassification,
    ModernBertConfig,
    ModernBertForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
    XLMRobertaConfig,
    XLMRobertaForTokenClassification,
)

_WORDS = (
    "the of and to in a is that for it was on are as with his they at be this from have or by one had not "
    "but what all were when we there can an your which their said if do will each about how up out them "
    "then she many some so these would other into has more her two like him see time could no make than "
    "first been its who now people my made over did down only way find use may water long little very "
    "after words called just where most know meeting council item report city budget committee motion "
    "vote second minutes year board"
)
_PIECES = "ing ed er s ly tion ment al re un in de con pre able ness ity ous ive est"
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_OTHERS = (
    "äöüßéèàçñøåабвгдежзиклмнопрстуфхцчшыьюя的一是不了人"
    "我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会"
)
_SIGNS = ".,;:!?()[]{}'\"-_/\\@#$%^&*+=<>|~`"
NEW_ROWS = 100
SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}


def save_tiny_bert(folder: Path, new_rows: int = NEW_ROWS) -> Path:
    """A BERT with WordPiece, of the names and layout of LLMLingua-2's multilingual one."""
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens = [*marks, *_LETTERS, *_SIGNS, *_OTHERS, *(w for w in _WORDS.split() if len(w) > 1)]
    tokens += [f"##{piece}" for piece in (*_LETTERS, *_OTHERS, *_PIECES.split())]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(marks)
    config = BertConfig(vocab_size=len(tokens) + new_rows, max_position_embeddings=512, **SHAPE)
    _save(folder, BertForTokenClassification(config), tokenizer, "BertTokenizer")
    return folder


def save_tiny_mobilebert(folder: Path) -> Path:
    """A MobileBERT over the vocabulary of `save_tiny_bert`, without further rows."""
    save_tiny_bert(folder, 0)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    config = MobileBertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        embedding_size=16,
        intra_bottleneck_size=16,
        **SHAPE,
    )
    # Without normalisation layers larger weights would end in numbers that no two engines agree on.
    _save(folder, MobileBertForTokenClassification(config), tokenizer, "BertTokenizer", 0.05)
    return folder


def save_tiny_xlmr(folder: Path, new_rows: int = NEW_ROWS) -> Path:
    """An XLM-R with a unigram vocabulary, of the names and layout of LLMLingua-2's large one."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    pieces += [(f"▁{word}", -3.0 - 0.01 * i) for i, word in enumerate(_WORDS.split())]
    pieces += [(piece, -5.0 - 0.01 * i) for i, piece in enumerate(_PIECES.split())]
    pieces += [(sign, -6.0 - 0.01 * i) for i, sign in enumerate([*_SIGNS, *_LETTERS, *_OTHERS])]
    pieces.append(("<mask>", 0.0))
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    config = XLMRobertaConfig(
        vocab_size=len(pieces) + new_rows,
        max_position_embeddings=514,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        **SHAPE,
    )
    _save(folder, XLMRobertaForTokenClassification(config), tokenizer, "XLMRobertaTokenizer")
    return folder


def save_tiny_modernbert(folder: Path) -> Path:
    """A ModernBERT with byte-level pieces, and Hugging Face's own head."""
    config, tokenizer = _modernbert()
    _save(folder, ModernBertForTokenClassification(config), tokenizer, "PreTrainedTokenizerFast")
    return folder


def save_tiny_kompress(folder: Path) -> Path:
    """A ModernBERT encoder with Kompress v2's two heads in `merged.pt`."""
    save_tiny_modernbert(folder)
    (folder / "model.safetensors").unlink()
    config, _ = _modernbert()
    encoder = ModernBertForTokenClassification(config).model
    width, channels = config.hidden_size, 8
    shapes = {
        "0.weight": (channels, width, 5),
        "0.bias": (channels,),
        "2.weight": (1, channels, 3),
        "2.bias": (1,),
    }
    parts = {
        "encoder_state_dict": _filled(encoder.state_dict()),
        "token_head_state_dict": _filled({"weight": torch.empty(2, width), "bias": torch.empty(2)}),
        "span_conv_state_dict": _filled({name: torch.empty(shape) for name, shape in shapes.items()}),
        "checkpoint_kind": "merged",
    }
    torch.save(parts, folder / "merged.pt")
    return folder


def _modernbert() -> tuple[ModernBertConfig, Tokenizer]:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *alphabet]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    merges: list[tuple[str, str]] = []
    for word in [w for w in _WORDS.split() if len(w) > 1]:
        left = "Ġ"
        for letter in word:
            if left + letter not in vocabulary:
                vocabulary[left + letter] = len(vocabulary)
                merges.append((left, letter))
            left += letter
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    config = ModernBertConfig(
        vocab_size=len(vocabulary),
        max_position_embeddings=1024,
        pad_token_id=0,
        cls_token_id=2,
        sep_token_id=3,
        bos_token_id=2,
        eos_token_id=3,
        **SHAPE,
    )
    return config, tokenizer


def _filled(state: dict[str, Any], scale: float = 0.25) -> dict[str, torch.Tensor]:
    """Give every weight a value that depends on nothing but its name's place among the names."""
    filled: dict[str, torch.Tensor] = {}
    for i, name in enumerate(sorted(state)):
        shape = tuple(state[name].shape)
        if not state[name].is_floating_point():
            filled[name] = state[name]
            continue
        # RandomState's stream is frozen by numpy's own promise.
        drawn = np.random.RandomState(i).standard_normal(shape)
        values = 1 + 0.05 * drawn if name.lower().endswith("norm.weight") else scale * drawn
        filled[name] = torch.tensor(values, dtype=torch.float32)
    return filled


def _save(folder: Path, model: PreTrainedModel, tokenizer: Tokenizer, kind: str, scale: float = 0.25) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config: PreTrainedConfig = model.config
    told = {**json.loads(config.to_json_string(use_diff=False)), "architectures": [type(model).__name__]}
    for name in ("id2label", "label2id", "transformers_version", "dtype"):
        told.pop(name, None)
    (folder / "config.json").write_text(json.dumps(told, indent=2), "utf-8")
    named: dict[str, Any] = {"tokenizer_class": kind, "model_max_length": 512}
    if kind == "BertTokenizer":
        named |= {"do_lower_case": False, "strip_accents": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(named), "utf-8")
    state = _filled({k: v for k, v in model.state_dict().items() if not k.endswith("position_ids")}, scale)
    if isinstance(model, MobileBertForTokenClassification):
        # Training leaves the padding's row at zero, and this architecture reads neighbours' rows.
        state["mobilebert.embeddings.word_embeddings.weight"][0] = 0
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
