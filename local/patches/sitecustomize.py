"""Loads the patches of the emulator into its Python process. docs/local.md lists what each one
makes up for.
"""

import sys
from pathlib import Path

# Python processes that the emulator starts inherit its PYTHONPATH and have nothing to patch.
if any(Path(argument).name == "ministack" for argument in sys.orig_argv):
    import emulator_patches  # noqa: F401
