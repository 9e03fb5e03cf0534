"""A process that delivers one bundle, read from its standard input, to the office in a folder; made to be killed."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import BinaryIO

from tests.simulators.newsroom import Newsroom
from tests.simulators.office import Office

LABEL = "killed"


class Announced(io.BytesIO):
    """Passes on what it reads, and says when its end has been seen: then nothing is left but to apply it."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._stream.read(-1 if size is None else size)
        if not data:
            print("taken", flush=True)
        return data


def main() -> None:
    office = Office(Path(sys.argv[1]), Newsroom(LABEL), founded=False)
    print("ready", flush=True)
    office.box.deliver(Announced(sys.stdin.buffer))
    print("done", flush=True)


if __name__ == "__main__":
    main()
