"""Restore noisy, small or JPEG-damaged pictures with MemNet, RED-Net and NLRN.

>>> from memnet_cli import Restorer                              # doctest: +SKIP
>>> restorer = Restorer.load("memnet", task="sr")                # doctest: +SKIP
>>> restored = restorer(image, scale=3)                          # doctest: +SKIP

Importing this package does not import torch; using a name that needs it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memnet_cli.config import __version__

__all__ = ["Restorer", "__version__", "available_models"]

if TYPE_CHECKING:
    from memnet_cli.models import available_models
    from memnet_cli.restoration.restorer import Restorer


def __getattr__(name: str) -> object:
    if name == "Restorer":
        from memnet_cli.restoration.restorer import Restorer

        return Restorer
    if name == "available_models":
        from memnet_cli.models import available_models

        return available_models
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
