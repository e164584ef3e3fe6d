"""``python -m mien`` is ``mien``."""

from __future__ import annotations

import signal


def main() -> None:
    """Load the command line and run it. Ctrl-C while it loads ends it without a word, as it ends other programs."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from mien.apps.cli import main as run

    signal.signal(signal.SIGINT, before)
    run()


if __name__ == "__main__":
    main()
