"""Runs inside the reference's own environment: LLMLingua as `llmlingua` ships it, asked by lines of JSON.

    PYTHON evaluation/llmlingua_driver.py FOLDER

reads one request a line, `{"text": ..., "rate": ...}`, and answers each with `{"text": ...}`. It
imports nothing of ours; `elision.evaluation.reference` starts it.
"""

import json
import sys

# The package's own default: this many tokens are weighed at a time.
_STEP = 200


def main(folder: str) -> None:
    """Answer requests until standard input ends."""
    from llmlingua import PromptCompressor  # type: ignore[import-not-found]

    # Whatever the package prints is no answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    compressor = PromptCompressor(folder, device_map="cpu")
    for line in sys.stdin:
        told = json.loads(line)
        length = len(compressor.tokenizer(told["text"], add_special_tokens=False).input_ids)
        # A text that is shorter than a step would be left alone but for its last tokens: what
        # precedes a step is kept, and there the package counts from the end.
        found = compressor.compress_prompt(
            [told["text"]], rate=told["rate"], iterative_size=max(1, min(_STEP, length))
        )
        answers.write(json.dumps({"text": found["compressed_prompt"]}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
