"""A package `llmlingua` that says how it was asked, and an environment that has it."""

import sys
from pathlib import Path

_CODE = """
class Tokens:
    def __init__(self, ids):
        self.input_ids = ids


class PromptCompressor:
    def __init__(self, model_name, device_map):
        print("loading, as packages say")
        self.name = f"{model_name} {device_map}"

    def tokenizer(self, text, add_special_tokens):
        assert not add_special_tokens
        return Tokens(text.split())

    def compress_prompt(self, context, rate, iterative_size):
        [text] = context
        if text == "too much":
            raise MemoryError("no memory for this")
        return {"compressed_prompt": f"{self.name} {rate} {iterative_size}: {text}"}
"""


def package(folder: Path) -> Path:
    """Return a folder of packages that has it."""
    packages = folder / "packages"
    packages.mkdir(exist_ok=True)
    (packages / "llmlingua.py").write_text(_CODE)
    return packages


def environment(folder: Path) -> Path:
    """Return the interpreter of an environment that has version 9.1 of it."""
    (folder / "lib/python3.11/site-packages/llmlingua-9.1.dist-info").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{package(folder)}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return python
