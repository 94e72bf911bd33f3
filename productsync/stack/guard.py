"""Runs the embedded AWS in this process, and ends it when the one who started it is gone.

The starter holds the other end of this process's standard input. When the starter ends, however it ends, the input
ends, and so do the embedded AWS and its functions: a killed test run or demonstration leaves nothing behind.
"""

import os
import runpy
import signal
import sys
import threading


def _end_with_the_starter() -> None:
    while os.read(0, 4096):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_starter, daemon=True).start()
    # Its own command line must not see this module's.
    sys.argv = ["ministack"]
    runpy.run_module("ministack", run_name="__main__")
