"""Collect what Elision says in its response headers: one line of a CSV file for each answer, and a picture.

    pip install openai matplotlib
    export OPENAI_API_KEY=...  # the provider's; Elision passes it on
    python collect.py prompts.jsonl --base-url http://127.0.0.1:8484/v1 --model gpt-4o-mini

Each line of `prompts.jsonl` is a JSON string (what a user says) or a list of messages. The headers are
described in docs/headers.md; where a policy says `headers: none` there are none to collect.
"""

import argparse
import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import openai
from openai.types.chat import ChatCompletionMessageParam

COLUMNS = (
    "request-id",
    "team",
    "policy",
    "mode",
    "method",
    "tokens-before",
    "tokens-after",
    "tokens-saved",
    "ratio",
    "cost-saved-usd",
    "cost-basis",
    "cache",
    "bypass",
    "overhead-ms",
)
BILLED = "billed-prompt-tokens"
"""Beside the headers: what the provider says in the answer's `usage`."""


def prompts(file: Path) -> Iterator[list[ChatCompletionMessageParam]]:
    """Yield the messages of each line."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.strip():
            said = json.loads(line)
            yield [{"role": "user", "content": said}] if isinstance(said, str) else said


def row_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of one answer, by their names without `x-elision-`; "" for one that is absent."""
    return {name: headers.get(f"x-elision-{name}", "") for name in COLUMNS}


def ask(client: openai.OpenAI, model: str, messages: list[ChatCompletionMessageParam]) -> dict[str, str]:
    """Ask once; return the row of the answer."""
    raw = client.chat.completions.with_raw_response.create(model=model, messages=messages)
    usage = raw.parse().usage
    return {**row_of(raw.headers), BILLED: str(usage.prompt_tokens) if usage else ""}


def draw(rows: list[dict[str, str]], picture: Path) -> None:
    """Draw the tokens of each request before and after, and the dollars saved so far."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    counted = [row for row in rows if row["tokens-before"]]
    places = range(1, len(counted) + 1)
    figure = Figure(figsize=(9, 6), layout="constrained")
    FigureCanvasAgg(figure)
    tokens, money = figure.subplots(2, 1, sharex=True)
    tokens.bar(places, [int(row["tokens-before"]) for row in counted], color="#d9dfe3", label="before")
    tokens.bar(
        places, [int(row["tokens-after"]) for row in counted], color="#0f766e", label="after", width=0.5
    )
    tokens.set_ylabel("tokens of the prompt's texts")
    tokens.legend()
    so_far, total = [], 0.0
    for row in counted:
        total += float(row["cost-saved-usd"] or 0)
        so_far.append(total)
    money.step(places, so_far, where="post", color="#b45309")
    money.set_ylabel("US dollars saved so far (estimate)")
    money.set_xlabel("request")
    figure.savefig(picture)


def collect(client: openai.OpenAI, model: str, source: Path, table: Path) -> list[dict[str, str]]:
    """Ask all prompts of a file and write a line for each as it is answered; return the rows."""
    rows: list[dict[str, str]] = []
    with table.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, (*COLUMNS, BILLED))
        writer.writeheader()
        for messages in prompts(source):
            rows.append(ask(client, model, messages))
            writer.writerow(rows[-1])
            out.flush()
    return rows


def main() -> None:
    """Read the arguments, collect, draw, and say what was saved."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("prompts", type=Path)
    parser.add_argument("--base-url", default="http://127.0.0.1:8484/v1")
    parser.add_argument("--model", default="gpt-4o-mini")
    parser.add_argument("--csv", type=Path, default=Path("savings.csv"))
    parser.add_argument("--plot", type=Path, default=Path("savings.png"))
    arguments = parser.parse_args()
    with openai.OpenAI(base_url=arguments.base_url) as client:
        rows = collect(client, arguments.model, arguments.prompts, arguments.csv)
    draw(rows, arguments.plot)
    saved = sum(int(row["tokens-saved"] or 0) for row in rows)
    print(f"{len(rows)} answers, {saved} tokens saved; see {arguments.csv} and {arguments.plot}")


if __name__ == "__main__":
    main()
