"""``python -m memnet_cli``, also what torchrun runs."""

from memnet_cli.cli import main

if __name__ == "__main__":
    main()
