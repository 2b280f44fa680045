"""Makes the modules beside the tests importable; tests/unit/tune and benchmarks/tune_faults.py import them too."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
