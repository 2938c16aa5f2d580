"""A second head for an exported classifier: one more number for each token, from a layer that is there.

Fitted to soft labels with the encoder as it is, so that nothing that it says changes, and read off
the int8 graph itself, so that what is learned is what will be seen. The graph's output gains a last
axis of two: what the classifier said, and what the head says. This module owns the fit and the change of
the graph; it knows no labels' meaning.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elision.compressors.errors import WeightsMissing
from elision.compressors.token_classifier import Vocabulary
from elision.training.records import LabelledText
from elision.training.windows import IGNORED, cut, tokenise

KEEP = "keep"
_LAYER = re.compile(r"layer\.(\d+)/output/LayerNorm/LayerNormalization_output_0\Z")
_ANSWER, _SECOND = "answer", "second"
_ROUNDS = 12
_RIDGE = 1e-4
_PART = 1 << 16
_MARKS = 2

Floats = NDArray[np.float64]
Rows = NDArray[np.float16]


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A linear head.

    Attributes:
        tensor: the layer's output that it reads, by its name in the graph.
        weights: (D,).
        bias: of the log-odds.
    """

    tensor: str
    weights: Floats
    bias: float


def teach(graph: Path, texts: Iterable[LabelledText], vocabulary: Vocabulary, window: int) -> Head:
    """Fit a head on the layer two thirds up, as far as grammar is known there (Tenney et al., 2019).

    Args:
        graph: `model.onnx`.
        texts: labelled.
        vocabulary: the model's.
        window: tokens that it reads at once, marks included.
    Raises: WeightsMissing if the graph has no such layer, ValueError without labels.
    """
    tensor = _layer(graph)
    read = list(_hidden(graph, tensor, texts, vocabulary, window))
    if not read:
        raise ValueError("no labelled token to fit a head on")
    weights, bias = fit(np.concatenate([rows for rows, _ in read]), np.concatenate([y for _, y in read]))
    return Head(tensor, weights, bias)


def fit(rows: Rows, labels: NDArray[np.floating]) -> tuple[Floats, float]:
    """Return weights (D,) and bias of a logistic regression on soft labels, by Newton's method.

    Ridge: 1e-4 of the mean squared row on the weights' squares.

    Args:
        rows: (N, D).
        labels: (N,) in [0, 1].
    """
    width = rows.shape[1] + 1
    found = np.zeros(width)
    scale = float(np.mean([np.square(part, dtype=np.float64).mean() for part, _ in _parts(rows, labels)]))
    ridge = np.full(width, _RIDGE * scale)
    ridge[-1] = 0.0
    for _ in range(_ROUNDS):
        slope, curve = -ridge * found, np.diag(ridge)
        for part, wanted in _parts(rows, labels):
            chance = 1 / (1 + np.exp(-(part @ found)))
            slope += part.T @ (wanted - chance) / len(rows)
            curve += (part * (chance * (1 - chance))[:, None]).T @ part / len(rows)
        step = np.linalg.solve(curve, slope)
        found += step
        if np.abs(step).max() < 1e-6:
            break
    return found[:-1], float(found[-1])


def attach(graph: Path, head: Head) -> None:
    """Rewrite a graph so that `keep` (window, token) becomes (window, token, 2), the head's chances second.

    Raises: WeightsMissing if the graph is not one of those.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(graph))
    known = {name for node in model.graph.node for name in node.output}
    if head.tensor not in known or [one.name for one in model.graph.output] != [KEEP]:
        raise WeightsMissing(f"{graph}: no output {KEEP!r} or no {head.tensor!r} to add a head to")
    for node in model.graph.node:
        for at, name in enumerate(node.output):
            if name == KEEP:
                node.output[at] = _ANSWER
    constants: dict[str, NDArray[Any]] = {
        f"{_SECOND}.weights": head.weights[:, None].astype(np.float32),
        f"{_SECOND}.bias": np.asarray([head.bias], np.float32),
        f"{_SECOND}.axis": np.asarray([2], np.int64),
    }
    model.graph.initializer.extend(numpy_helper.from_array(one, name) for name, one in constants.items())
    model.graph.node.extend(
        [
            helper.make_node("MatMul", [head.tensor, f"{_SECOND}.weights"], [f"{_SECOND}.product"]),
            helper.make_node("Add", [f"{_SECOND}.product", f"{_SECOND}.bias"], [f"{_SECOND}.odds"]),
            helper.make_node("Sigmoid", [f"{_SECOND}.odds"], [_SECOND]),
            helper.make_node("Unsqueeze", [_ANSWER, f"{_SECOND}.axis"], [f"{_ANSWER}.column"]),
            helper.make_node("Concat", [f"{_ANSWER}.column", _SECOND], [KEEP], axis=2),
        ]
    )
    del model.graph.output[:]
    shape: list[str | int | None] = ["window", "token", 2]
    model.graph.output.append(helper.make_tensor_value_info(KEEP, TensorProto.FLOAT, shape))
    onnx.save(model, str(graph))


def _layer(graph: Path) -> str:
    import onnx

    names = [name for node in onnx.load(str(graph)).graph.node for name in node.output]
    layers: dict[int, str] = {int(match[1]): name for name in names if (match := _LAYER.search(name))}
    if not layers:
        raise WeightsMissing(f"{graph}: no layers of BERT's names")
    return layers[max(2 * len(layers) // 3 - 1, 0)]


def _hidden(
    graph: Path, tensor: str, texts: Iterable[LabelledText], vocabulary: Vocabulary, window: int
) -> Iterator[tuple[Rows, NDArray[np.float32]]]:
    """Yield (T, D) what a layer says and (T,) labels, of each window's tokens that have one."""
    import onnx
    import onnxruntime

    model = onnx.load(str(graph))
    model.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    marks = vocabulary.ids
    for tokens in tokenise(texts, vocabulary):
        for start, end in cut(tokens, window - _MARKS, 0):
            labels = tokens.labels[start:end]
            ids = np.concatenate(([marks["cls"]], tokens.ids[start:end], [marks["sep"]]))
            (rows,) = session.run([tensor], {"input_ids": ids[None]})
            labelled = labels != IGNORED
            yield rows[0, 1:-1][labelled].astype(np.float16), labels[labelled]


def _parts(rows: Rows, labels: NDArray[np.floating]) -> Iterator[tuple[Floats, Floats]]:
    """Yield rows with a last column of ones, and labels, as many at once as memory should hold."""
    for at in range(0, len(rows), _PART):
        part = rows[at : at + _PART].astype(np.float64)
        yield (
            np.concatenate((part, np.ones((len(part), 1))), 1),
            np.asarray(labels[at : at + _PART], np.float64),
        )
