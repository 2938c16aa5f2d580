"""Models are prepared once, whole or not at all, and are what their publisher states."""

import hashlib
import json
from pathlib import Path

import pytest

from elision.compressors.checkpoints import STEPS, Fetched, Store, fetch_from_hub
from elision.compressors.errors import WeightsMissing
from elision.compressors.token_classifier import MANIFEST, Engine, Family, load_classifier
from fakes.tiny_classifier import save_tiny_bert, save_tiny_kompress


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = save_tiny_bert(tmp_path / "tiny")
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# Tiny\n")
    return folder


class Hub:
    """A hub that has one model, and counts how often it is asked."""

    def __init__(self, folder: Path, sums: dict[str, str] | None = None) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self._fetched = Fetched(folder, "c0ffee", sums or {})

    def __call__(self, repo: str, revision: str | None) -> Fetched:
        self.asked.append((repo, revision))
        return self._fetched


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_checkpoint_is_prepared_and_found(checkpoint: Path, tmp_path: Path) -> None:
    """The manifest says what it is; the method finds it by name and runs it."""
    store = Store(tmp_path / "cache")
    steps: list[str] = []
    model, fresh = store.add(str(checkpoint), tell=steps.append)
    assert fresh
    assert tuple(steps) == STEPS
    assert (model.name, model.licence, model.family, model.labels) == ("tiny", "apache-2.0", Family.BERT, 2)
    assert (model.max_tokens, model.engines, model.revision) == (512, ("onnx",), "")
    assert store.prepared() == [model]
    assert store.verify(model) == []
    assert load_classifier(store.locate("tiny"), Engine.ONNX, 1).vocabulary.family is Family.BERT
    held = {path.name for path in store.locate("tiny").iterdir()}
    assert held == {*model.files, MANIFEST}
    assert "model.safetensors" not in held


def test_adding_again_changes_nothing(checkpoint: Path, tmp_path: Path) -> None:
    """The same files: the same folder, untouched."""
    store = Store(tmp_path / "cache")
    first, _ = store.add(str(checkpoint))
    before = (store.locate("tiny") / MANIFEST).stat().st_mtime_ns
    steps: list[str] = []
    assert store.add(str(checkpoint), tell=steps.append) == (first, False)
    assert steps == ["fetch", "check"]
    assert (store.locate("tiny") / MANIFEST).stat().st_mtime_ns == before


def test_other_weights_take_the_place_of_the_old(checkpoint: Path, tmp_path: Path) -> None:
    """And PyTorch's own may be asked for later."""
    store = Store(tmp_path / "cache")
    first, _ = store.add(str(checkpoint))
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 0.1}))
    second, fresh = store.add(str(checkpoint))
    assert fresh
    assert first.origin != second.origin
    third, fresh = store.add(str(checkpoint), torch=True)
    assert fresh
    assert third.engines == ("onnx", "torch")
    assert store.prepared() == [third]
    load_classifier(store.locate("tiny"), Engine.TORCH, 1)
    assert [path.name for path in store.root.iterdir() if path.is_dir()] == ["tiny"]


def test_an_id_is_fetched_by_its_revision(checkpoint: Path, tmp_path: Path) -> None:
    """A model of the hub keeps its id as its name, and its commit."""
    hub = Hub(checkpoint, {"config.json": sha256(checkpoint / "config.json")})
    store = Store(tmp_path / "cache")
    model, _ = store.add("someone/tiny-model@v1", fetch=hub)
    assert hub.asked == [("someone/tiny-model", "v1")]
    assert (model.name, model.source, model.revision) == (
        "someone/tiny-model",
        "someone/tiny-model@v1",
        "c0ffee",
    )
    assert store.locate("someone/tiny-model") == store.root / "someone--tiny-model"


def test_files_that_are_not_as_stated_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    """By the hub, or by a SHA256SUMS beside them; nothing is left behind."""
    store = Store(tmp_path / "cache")
    with pytest.raises(WeightsMissing, match=r"model\.safetensors is not what its publisher states"):
        store.add("someone/tiny", fetch=Hub(checkpoint, {"model.safetensors": "0" * 64}))
    (checkpoint / "SHA256SUMS").write_text(f"{'0' * 64}  config.json\n")
    with pytest.raises(WeightsMissing, match=r"config\.json is not what"):
        store.add(str(checkpoint))
    assert store.prepared() == []


def test_a_conversion_that_fails_leaves_nothing(checkpoint: Path, tmp_path: Path) -> None:
    """No half-written model is ever listed; what a killed one left is removed by the next."""
    store = Store(tmp_path / "cache")
    good = (checkpoint / "model.safetensors").read_bytes()
    (checkpoint / "model.safetensors").write_bytes(good[:1000])
    with pytest.raises(WeightsMissing, match="cannot load the weights"):
        store.add(str(checkpoint))
    assert [path for path in store.root.iterdir() if path.is_dir()] == []
    (store.root / ".draft-tiny.killed").mkdir()
    (checkpoint / "model.safetensors").write_bytes(good)
    store.add(str(checkpoint))
    assert [path.name for path in store.root.iterdir() if path.is_dir()] == ["tiny"]


def test_a_changed_file_is_found_and_mended(checkpoint: Path, tmp_path: Path) -> None:
    """`verify` names it; adding the model again puts it right."""
    store = Store(tmp_path / "cache")
    model, _ = store.add(str(checkpoint))
    graph = store.locate("tiny") / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    (store.locate("tiny") / "tokenizer_config.json").unlink()
    assert store.verify(model) == [
        "tiny: model.onnx has changed since it was prepared",
        "tiny: tokenizer_config.json is missing",
    ]
    mended, fresh = store.add(str(checkpoint))
    assert fresh
    assert store.verify(mended) == []


def test_kompress_is_prepared_by_its_own_head(tmp_path: Path) -> None:
    """Its weights lie in `merged.pt`; what is prepared needs them no more."""
    store = Store(tmp_path / "cache")
    model, _ = store.add(str(save_tiny_kompress(tmp_path / "kompress")))
    assert model.family is Family.MODERNBERT
    assert "merged.pt" not in model.files


def test_a_model_that_is_not_here_says_how_to_get_it(checkpoint: Path, tmp_path: Path) -> None:
    """A name, a path: each is told the command; nothing is fetched while a request waits."""
    store = Store(tmp_path / "cache")
    assert store.locate(str(checkpoint)) == checkpoint
    with pytest.raises(WeightsMissing, match="elision models add someone/tiny"):
        store.locate("someone/tiny")
    store.add(str(checkpoint))
    with pytest.raises(WeightsMissing, match="did you mean 'tiny'"):
        store.locate("tyny")


@pytest.mark.parametrize("source", ["not an id", "/no/such/folder"])
def test_what_is_no_checkpoint_is_told(source: str, tmp_path: Path) -> None:
    """Before anything is asked of the network."""
    hub = Hub(tmp_path)
    with pytest.raises(WeightsMissing, match="no checkpoint at"):
        Store(tmp_path / "cache").add(source, fetch=hub)
    assert hub.asked == []


def test_a_folder_without_its_parts_is_told(checkpoint: Path, tmp_path: Path) -> None:
    """A config, a tokenizer: which is missing."""
    store = Store(tmp_path / "cache")
    (checkpoint / "tokenizer.json").unlink()
    with pytest.raises(WeightsMissing, match=r"no tokenizer\.json"):
        store.add(str(checkpoint))
    (checkpoint / "config.json").unlink()
    with pytest.raises(WeightsMissing, match=r"no config\.json"):
        store.add(str(checkpoint))


def test_a_tokenizer_is_made_from_a_vocabulary(checkpoint: Path, tmp_path: Path) -> None:
    """Older checkpoints have `vocab.txt` only."""
    vocabulary = json.loads((checkpoint / "tokenizer.json").read_text())["model"]["vocab"]
    (checkpoint / "tokenizer.json").unlink()
    (checkpoint / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=lambda t: int(vocabulary[t]))))
    store = Store(tmp_path / "cache")
    store.add(str(checkpoint))
    made = load_classifier(store.locate("tiny"), Engine.ONNX, 1).vocabulary.tokenizer()
    assert made.token_to_id("council") == vocabulary["council"]


def test_a_broken_manifest_is_named(checkpoint: Path, tmp_path: Path) -> None:
    """With the way out."""
    store = Store(tmp_path / "cache")
    store.add(str(checkpoint))
    (store.locate("tiny") / MANIFEST).write_text("{}")
    with pytest.raises(WeightsMissing, match="add the model again"):
        store.prepared()


def test_a_cache_that_cannot_be_written_is_told(checkpoint: Path, tmp_path: Path) -> None:
    """Full or forbidden: the message says what to set."""
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(WeightsMissing, match="set a cache folder"):
        Store(tmp_path / "cache").add(str(checkpoint))


def test_a_hub_that_cannot_be_asked_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own error does not escape; the message says what to do."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsMissing, match=r"cannot fetch 'someone/tiny'.*give its folder instead"):
        fetch_from_hub("someone/tiny", None)
