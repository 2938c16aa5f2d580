"""Derives the table of word frequencies that the method `frequency` reads.

    python -m benchmarks.unigram_table FOLDER

FOLDER holds the files `letters/*.csv` of the public repository chintan39/cmu_tf_idf (commit
c5468ba, 2017): how often each word of the CMU Pronouncing Dictionary stands, spelt in lower case,
in the English books of Google's ngram corpus. The counts are Google's, under CC BY 3.0 (see
NOTICE). The same input gives the same bytes.

Kept are the 40,000 most frequent words of letters only: more of them made no difference to which
answers survive, as words outside the table count as rare as its rarest. The table is text, packed
by gzip: line n (from 0) holds the words of n eighths of a bit of self-information.
"""

import argparse
import csv
import gzip
import math
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

WORDS = 40_000
EIGHTHS = 8
TABLE = Path(__file__).parent.parent / "compressors" / "unigrams_en.gz"
# Books write "I" in upper case, where the source did not count: it is given the count of "you".
STANDS_FOR = {"i": "you"}


def main() -> None:
    """Read the counts, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds letters/a.csv to letters/z.csv, or them directly")
    folder = parser.parse_args().folder
    found = dict(counts(folder / "letters" if (folder / "letters").is_dir() else folder))
    TABLE.write_bytes(gzip.compress(table(found).encode(), 9, mtime=0))
    sys.stdout.write(f"{TABLE.name}: {WORDS} of {len(found)} words, {TABLE.stat().st_size} bytes\n")


def counts(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield each word of letters only, and how often it stands in the corpus."""
    for path in sorted(folder.glob("?.csv")):
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                if row["word"].isalpha() and int(row["tf"]) > 0:
                    yield row["word"], int(row["tf"])


def table(found: dict[str, int]) -> str:
    """Return the table's lines: line n holds the words of n eighths of a bit."""
    found = found | {word: found[like] for word, like in STANDS_FOR.items()}
    total = sum(found.values())
    by_bits: dict[int, list[str]] = defaultdict(list)
    for word in sorted(found, key=lambda word: (-found[word], word))[:WORDS]:
        by_bits[round(EIGHTHS * math.log2(total / found[word]))].append(word)
    return "\n".join(" ".join(sorted(by_bits[bits])) for bits in range(max(by_bits) + 1)) + "\n"


if __name__ == "__main__":
    main()
