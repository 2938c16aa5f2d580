"""Data sets with worked examples in the prompt: GSM8K and BIG-Bench Hard.

Loaders only. What is shortened is the examples; the question goes to the reader as it is.
"""

from pathlib import Path

from elision.config.errors import ConfigError
from elision.evaluation import forms
from elision.evaluation.files import read_json, read_rows, read_text, row, rows, text_of
from elision.evaluation.model import Item

_EXAMPLES = "cot_prompt_hardest.txt"
_BBH_FILE, _BBH_EXAMPLES = "bbh_*.json*", "cot-prompts_{}.txt"
# Above it stands a note to people who gather training data.
_RULE = "-----\n"


def gsm8k(folder: Path, split: str) -> list[Item]:
    """Read GSM8K (Cobbe et al., arXiv:2110.14168) and the prompt of eight worked examples (Fu et al.,
    arXiv:2210.00720) from a folder. Raises: ConfigError.
    """
    examples = read_text(folder / _EXAMPLES).strip()
    file = folder / f"{split}.jsonl"
    items: list[Item] = []
    for at, one in enumerate(read_rows(file), 1):
        where = f"{file}:{at}"
        reasoning, mark, gold = text_of(one, "answer", where).rpartition("####")
        if not mark:
            raise ConfigError([f"{where}: `answer` ends without ####; found {reasoning[-20:]!r}"])
        question = text_of(one, "question", where)
        items.append(Item(str(at), str(at), examples, forms.WORKED_NUMBER, question, (gold.strip(),)))
    return items


def bbh(folder: Path, split: str) -> list[Item]:
    """Read BIG-Bench Hard (Suzgun et al., arXiv:2210.09261) from a folder: a file of examples for
    each of its tasks, and the task's three worked examples. Raises: ConfigError.
    """
    files = sorted(folder.glob(_BBH_FILE))
    if not files:
        raise ConfigError([f"{folder}: no {_BBH_FILE}"])
    items: list[Item] = []
    for file in files:
        task = file.name.removeprefix("bbh_").partition(".")[0]
        examples = read_text(folder / _BBH_EXAMPLES.format(task)).partition(_RULE)[2].strip()
        found = rows(row(read_json(file), str(file)).get("examples"), f"{file}: `examples`")
        for at, one in enumerate(found, 1):
            where = f"{file}: example {at}"
            question, gold = text_of(one, "input", where), text_of(one, "target", where)
            name = f"{task}.{at}"
            items.append(Item(name, name, examples, forms.WORKED_OPTION, question, (gold,)))
    return items
