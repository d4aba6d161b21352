"""A function for `test_executor` to run where nothing waits for torch."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def hang(note: str, send: Callable[[object], None]) -> None:
    Path(note).with_suffix(".worker").write_text(str(os.getpid()))
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(note).write_text(str(child.pid))
    time.sleep(600)
