"""Language models small enough to make in a test: random weights, a tokenizer trained here."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

FAMILIES = ("llama", "gpt2", "qwen2", "gemma2", "phi")
"""Rotary and learned positions, biased heads, tied ones, capped logits, partly rotated heads."""

_PROSE = [
    "The quick brown fox jumps over the lazy dog. It was the best of times.",
    "A witness said that the meeting of 12 May 1987 was not held in Geneva.",
    "Reports may be filed by anyone; 3.5 percent of them were late, he said.",
]
_CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_SHAPE: dict[str, object] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
}
_SHAPES: dict[str, dict[str, object]] = {
    "llama": _SHAPE,
    # Random weights that are large enough to have opinions.
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3},
    "qwen2": {**_SHAPE, "tie_word_embeddings": True},
    "gemma2": {**_SHAPE, "head_dim": 8, "query_pre_attn_scalar": 8, "final_logit_softcapping": 3.0},
    "phi": {**_SHAPE, "num_key_value_heads": 4, "partial_rotary_factor": 0.5},
}


def save_tiny_lm(folder: Path, seed: int = 0, window: int = 4096, family: str = "llama") -> Path:
    """Write `config.json`, `tokenizer.json` and safetensors of a two-layer model to a folder."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        _PROSE,
        trainers.BpeTrainer(
            vocab_size=400,
            show_progress=False,
            special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        chat_template=_CHAT,
    ).save_pretrained(folder)
    config = AutoConfig.for_model(
        family,
        vocab_size=tokenizer.get_vocab_size(),
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        **{"n_positions" if family == "gpt2" else "max_position_embeddings": window},
        **_SHAPES[family],
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder
