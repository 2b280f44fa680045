"""A stage ends with the DVC that runs it: two of one stage at once, of old and new settings, must not be."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def end_with_dvc() -> None:
    """Be killed by the system as soon as the `dvc` that runs this stage is gone, however it went (Linux).

    A DVC that is killed alone leaves its stage at work, and the next `dvc repro` would start it a second time beside
    it. Where no DVC runs this process, nothing is done.
    """
    if sys.platform == "linux" and "DVC_STAGE" in os.environ:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
