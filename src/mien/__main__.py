"""``python -m mien`` is ``mien``."""

from mien.apps.cli import main

main()
