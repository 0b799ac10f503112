"""`consortium`, and `python -m consortium`.

Importing makes some hundred thousand objects that live as long as the process: to look through them for garbage, again
and again while they are made and once more at the end, takes longer than making them.
"""

import gc

gc.disable()

from consortium.cli.main import main  # noqa: E402 - with the collector off

gc.freeze()
gc.enable()

__all__ = ["main"]

if __name__ == "__main__":
    main()
