"""The things that `memnet speed` times: one loaded model and what is done with it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from memnet_cli.checkpoints import load_weights
from memnet_cli.config import RuntimeOptions
from memnet_cli.evaluation.methods import PlannedMethod
from memnet_cli.evaluation.speed_report import Subject
from memnet_cli.evaluation.straightforward import straightforward_port
from memnet_cli.imaging.images import Picture, encode_image, picture_from_array, read_image
from memnet_cli.models.cost import multiply_adds_per_pixel
from memnet_cli.models.memnet import MemNet
from memnet_cli.restoration.engine import Engine
from memnet_cli.restoration.restorer import Restorer

Plane = NDArray[np.float32]


def sample_plane(height: int, width: int) -> Plane:
    """Return a smooth (H, W) float32 plane in [0, 1] with mild noise, the same in every run."""
    rows = np.sin(np.linspace(0.0, 9.0, height))[:, None]
    columns = np.cos(np.linspace(0.0, 7.0, width))[None, :]
    noise = np.random.default_rng(0).normal(0.0, 0.02, (height, width))
    return np.clip(0.5 + 0.3 * rows * columns + noise, 0.0, 1.0).astype(np.float32)


def sample_picture(height: int, width: int) -> Picture:
    """Return a colour picture of 8 bits made of :func:`sample_plane`."""
    grey = np.rint(sample_plane(height, width) * 255.0).astype(np.uint8)
    return picture_from_array(np.stack([grey, grey[::-1], 255 - grey], axis=2))


@dataclass(frozen=True)
class Loaded:
    """A planned model on its device in one precision."""

    planned: PlannedMethod
    restorer: Restorer
    subject: Subject

    @property
    def engine(self) -> Engine:
        """What restores planes."""
        return self.restorer.engine

    @property
    def scale(self) -> int | None:
        """The enlargement to restore pictures with: the smallest trained one; None but for sr."""
        if self.planned.task.name != "sr":
            return None
        return min(self.restorer.info.levels or self.planned.task.levels)


def load(planned: PlannedMethod, device: str, precision: str) -> Loaded:
    """Load a model as ``memnet restore`` does.

    Raises:
        WeightsError: for damaged weights.
        DeviceError: for a device that is not there, or a precision that it lacks.
    """
    assert planned.weights is not None
    options = RuntimeOptions(device, precision, exit_block=planned.name.exit_block)
    restorer = Restorer.from_file(planned.weights, planned.task, options)
    plain, _ = load_weights(planned.weights)
    subject = Subject(
        name=planned.name.text,
        model=restorer.info.model,
        task=planned.task.name,
        weights=planned.weights.name,
        weights_hash=restorer.weights_hash,
        device=str(restorer.engine.runtime.device),
        precision=restorer.engine.runtime.precision,
        flop_per_pixel=2.0 * multiply_adds_per_pixel(plain, planned.name.exit_block),
    )
    return Loaded(planned, restorer, subject)


def inside_call(engine: Engine, height: int, width: int) -> tuple[Callable[[], torch.Tensor], int]:
    """Return a call that runs the model as the engine does, and how many pixels it restores.

    From (1, 1, H, W) float32 on the device to the same, one tile of a (height, width) plane;
    nothing is copied to or from the device.
    """
    side = engine.tile_side(height, width)
    plane = sample_plane(min(side, height), min(side, width))
    runtime = engine.runtime
    batch = torch.from_numpy(plane)[None, None].to(runtime.device)
    in_precision = torch.autocast(
        runtime.device.type, dtype=runtime.dtype, enabled=runtime.dtype != torch.float32
    )

    @torch.inference_mode()
    def call() -> torch.Tensor:
        if engine.fast is not None:
            return engine.fast(batch, engine.exit_block)
        with in_precision:
            output: torch.Tensor = (
                engine.model(batch)
                if engine.exit_block is None
                else engine.model(batch, exit_block=engine.exit_block)
            )
        return output

    return call, plane.size


def picture_call(
    loaded: Loaded, height: int, width: int
) -> tuple[Callable[[], bytes], tuple[int, int]]:
    """Return a call from PNG bytes to PNG bytes, and (height, width) of the picture it makes.

    For sr the input is smaller, so that the output has about the asked size.
    """
    scale = loaded.scale or 1
    small = max(1, round(height / scale)), max(1, round(width / scale))
    png = encode_image(sample_picture(*small), "png")

    def call() -> bytes:
        picture = read_image(io.BytesIO(png))
        restored = loaded.restorer.restore([picture], scale=loaded.scale)[0].picture
        return encode_image(restored, "png")

    return call, (small[0] * scale, small[1] * scale)


def port_call(
    planned: PlannedMethod, device: torch.device, height: int, width: int
) -> Callable[[], torch.Tensor] | None:
    """Return a call of the straightforward float32 port, tensor to tensor; None without a port.

    Only a whole MemNet has one.
    """
    assert planned.weights is not None
    model, _ = load_weights(planned.weights)
    if not isinstance(model, MemNet) or planned.name.exit_block is not None:
        return None
    port = straightforward_port(model).to(device)
    batch = torch.from_numpy(sample_plane(height, width))[None, None].to(device)

    @torch.no_grad()
    def call() -> torch.Tensor:
        restored: torch.Tensor = port(batch)
        return restored

    return call
