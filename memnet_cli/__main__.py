"""``python -m memnet_cli``, also what torchrun runs, and what the command ``memnet`` is."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the command line; Ctrl-C while it starts, or once it has ended, leaves no traceback."""
    try:
        from memnet_cli.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        sys.exit(130)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main()
