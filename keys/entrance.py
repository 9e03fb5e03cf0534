"""How a command begins: whoever presses Ctrl-C while the program is still being read in gets no traceback.

Reading in a command takes up to half a second, and an interruption may strike any import there. So what the installed
programs call is a small module of two lines, which imports nothing but this, and this nothing heavy.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from types import FrameType

EXIT_INTERRUPTED = 130


def enter(module: str) -> None:
    """Import a command's module and run its `main`. While it is imported, Ctrl-C ends the process at once, in silence.

    Nothing has been begun by then that would have to be ended in order. Where Ctrl-C is ignored it stays so.
    """
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        if heeded:
            signal.signal(signal.SIGINT, _leave)
        main = importlib.import_module(module).main
        if heeded:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        main()
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    os._exit(EXIT_INTERRUPTED)
