"""A token classifier in ONNX Runtime, on a CPU, without PyTorch; and how one is made.

Each window is a run of its own: dynamic quantisation takes a tensor's range over all that is in a
batch, so that in company a window's scores would depend on its neighbours; and a CPU gains nothing
by batches of long windows, but loses by padding. Windows are shared out among threads instead.
Making a model (`export`) needs PyTorch and onnx; running one needs neither.
"""

import hashlib
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from elision.compressors.breaks import give_way
from elision.compressors.errors import WeightsMissing
from elision.compressors.memory import trim
from elision.compressors.token_classifier import ONNX_FILE, Vocabulary, read_vocabulary

if TYPE_CHECKING:
    import onnxruntime
    import torch

_INPUT, _OUTPUT = "input_ids", "keep"
_OPSET = 17
_TRACED = 512
_WINDOWS_PER_THREAD = 4
TOLERANCE = 1e-3
"""How far the converted fp32 graph's scores may be from the checkpoint's own."""


class OnnxClassifier:
    """Runs `model.onnx` of a prepared folder; make one with `OnnxClassifier.load`."""

    def __init__(
        self, session: "onnxruntime.InferenceSession", vocabulary: Vocabulary, checksum: str, threads: int
    ) -> None:
        """Take a session whose runs use one thread each; `threads` run at once."""
        self._session = session
        self._vocabulary = vocabulary
        self._checksum = checksum
        self._pool = ThreadPoolExecutor(threads, "onnx")
        # Between two shares others may be served: long enough to keep all threads busy.
        self._share = _WINDOWS_PER_THREAD * threads

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> "OnnxClassifier":
        """Load a model that `elision models add` has prepared.

        Raises: WeightsMissing if it has not been, or cannot be read.
        """
        path = folder / ONNX_FILE
        if not path.is_file():
            raise WeightsMissing(
                f"{folder} has no {ONNX_FILE}: prepare it with `elision models add`, or say engine: torch"
            )
        try:
            session = _session(path)
        except _faults() as error:
            raise WeightsMissing(f"cannot load {path}: {error}") from error
        with path.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        vocabulary = read_vocabulary(folder)
        trim()
        return cls(session, vocabulary, checksum, threads or _cores())

    @property
    def fingerprint(self) -> str:
        return f"onnx:{self._checksum[:16]}"

    @property
    def vocabulary(self) -> Vocabulary:
        return self._vocabulary

    def probabilities(self, windows: Sequence[NDArray[np.int64]]) -> list[NDArray[np.float32]]:
        found: list[NDArray[np.float32]] = []
        for at in range(0, len(windows), self._share):
            if at:
                give_way()
            found += self._pool.map(self._run, windows[at : at + self._share])
        return found

    def _run(self, window: NDArray[np.int64]) -> NDArray[np.float32]:
        if len(window) > self._vocabulary.max_tokens:
            raise WeightsMissing(
                f"a window of {len(window)} tokens; the model reads {self._vocabulary.max_tokens}"
            )
        (keep,) = self._session.run([_OUTPUT], {_INPUT: window[None]})
        return np.asarray(keep[0], np.float32)


def export(folder: Path, target: Path, tell: Callable[[str], None]) -> None:
    """Write a checkpoint's weights as int8 ONNX: `target`.

    Weights are quantised per channel, which keeps 98 decisions of 100 as fp32 makes them where one
    scale per tensor keeps 96; activations as they come.

    Args:
        folder: a checkpoint.
        target: a file in a folder that has room for the fp32 graph meanwhile.
        tell: called with the name of each step as it begins.
    Raises: WeightsMissing if packages are absent, or the graph does not say what the weights say.
    """
    from elision.compressors.torch_classifier import require_torch

    require_torch(("onnx",))
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    tell("convert")
    # Large models put their tensors into files of their own: all of it goes with the folder.
    with tempfile.TemporaryDirectory(dir=target.parent) as room:
        draft = Path(room) / "fp32.onnx"
        _trace(folder, draft)
        tell("quantise")
        # It advises on the root logger to prepare graphs for another kind of quantisation.
        logging.disable(logging.WARNING)
        try:
            quantize_dynamic(
                draft,
                target,
                per_channel=True,
                weight_type=QuantType.QInt8,
                extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
            )
        finally:
            logging.disable(logging.NOTSET)


def _trace(folder: Path, draft: Path) -> None:
    import torch

    from elision.compressors.torch_classifier import read_model

    vocabulary = read_vocabulary(folder)
    model = read_model(folder, torch.float32, "eager")
    # Longer than any local attention: a tracer that never sees a window cut leaves the cut out.
    longest = min(vocabulary.max_tokens, _TRACED)
    with warnings.catch_warnings(), torch.inference_mode():
        # The tracer warns of every shape that it fixes; other lengths are compared below.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (_sample(longest, vocabulary),),
            str(draft),
            dynamo=False,
            input_names=[_INPUT],
            output_names=[_OUTPUT],
            dynamic_axes={_INPUT: {0: "window", 1: "token"}, _OUTPUT: {0: "window", 1: "token"}},
            opset_version=_OPSET,
        )
        session = _session(draft)
        for length in (3, longest // 3, longest):
            ids = _sample(length, vocabulary)
            (keep,) = session.run([_OUTPUT], {_INPUT: ids.numpy()})
            gap = float(np.abs(keep - model(ids).numpy()).max())
            if gap > TOLERANCE:
                raise WeightsMissing(
                    f"{folder}: converted scores of {length} tokens are off by {gap:.2g}: use engine: torch"
                )


def _sample(length: int, vocabulary: Vocabulary) -> "torch.Tensor":
    """Return (1, length) token ids without padding, spread over the vocabulary."""
    import torch

    pad, size = vocabulary.ids["pad"], max(vocabulary.size, 2)
    return (torch.arange(length)[None] * 7919 + pad + 1) % (size - 1 - pad) + pad + 1


def _cores() -> int:
    """Return the cores that this process may use, as far as the system says."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


def _faults() -> tuple[type[Exception], ...]:
    """Return what ONNX Runtime raises for a graph that it cannot load; they have no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = (
        "Fail",
        "InvalidGraph",
        "InvalidProtobuf",
        "InvalidArgument",
        "NotImplemented",
        "RuntimeException",
    )
    return tuple(getattr(state, name) for name in names)


def _session(path: Path) -> "onnxruntime.InferenceSession":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # One thread a run and no pool of its own: nothing spins while it waits for another request.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # A plan for each length of window: 7 MB more after some requests, for 1.5 % of speed.
    options.enable_mem_pattern = False
    # It keeps what its largest run took: 10 to 15 MB more after some requests, for 1 to 3 % of speed.
    options.enable_cpu_mem_arena = False
    # Errors are raised; warnings about a graph's shapes tell its operator nothing.
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
