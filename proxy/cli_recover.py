"""`elision recover`: an answer to a shortened prompt, in the words of the prompt as it was.

Reads files and writes one text; what is recovered how is `elision.compressors.recovery`'s matter.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from elision.config.errors import ConfigError
from elision.proxy.commands import STDIN, read_file, tell


def recover(
    answer: Annotated[Path, typer.Argument(metavar="ANSWER|-", help="The answer; - is standard input.")],
    original: Annotated[Path, typer.Option(metavar="FILE", help="The prompt as it was.")],
    compressed: Annotated[Path, typer.Option(metavar="FILE", help="The prompt as the model read it.")],
) -> int:
    """Write an answer with what it quotes of a shortened prompt in the words of the original.

    Files are UTF-8. How many stretches were exchanged is told on standard error.
    """
    files = (original, compressed, answer)
    if files.count(STDIN) > 1:
        raise ConfigError(["-: standard input can be read only once; name a file"])
    before, after, said = (_text(file) for file in files)
    from elision.compressors.recovery import Recovery

    found = Recovery(before, after).recover(said)
    # Bytes, because a text's own line ends must come out as they went in.
    sys.stdout.buffer.write(found.text.encode())
    sys.stdout.buffer.flush()
    tell("note", f"{found.changes} {'stretch' if found.changes == 1 else 'stretches'} recovered")
    return 0


def _text(file: Path) -> str:
    try:
        return read_file(file).decode()
    except UnicodeDecodeError as error:
        raise ConfigError([f"{file}: not UTF-8 at byte {error.start}; convert it first"]) from error
