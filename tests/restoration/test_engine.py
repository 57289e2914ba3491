from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from memnet_cli.errors import DeviceError, ImageError
from memnet_cli.restoration import memory
from memnet_cli.restoration.engine import NOT_FINITE, Engine, fault, out_of_memory
from memnet_cli.restoration.restorer import Restorer


@pytest.fixture
def engine(tiny_weights: dict[str, Path]) -> Engine:
    return Restorer.load(task="denoise", weights=tiny_weights["denoise"], precision="fp32").engine


@pytest.fixture
def plain(engine: Engine) -> Engine:
    """Return an engine that calls the module itself, which a test can replace."""
    return replace(engine, fast=None)


def planes(rng: np.random.Generator, *shapes: tuple[int, int]) -> list[NDArray[np.float32]]:
    return [rng.random(shape, dtype=np.float32) for shape in shapes]


def test_batches_of_mixed_sizes_equal_one_by_one(engine: Engine, rng: np.random.Generator) -> None:
    several = planes(rng, (40, 40), (17, 31), (40, 40), (1, 1))
    together = engine.restore(several)
    for plane, restored in zip(several, together, strict=True):
        alone = engine.restore([plane])[0].plane
        assert restored.plane.shape == plane.shape
        np.testing.assert_allclose(restored.plane, alone, atol=1e-6)


def test_tiles_with_enough_overlap_equal_the_whole(
    engine: Engine, rng: np.random.Generator
) -> None:
    # M2R1 has 2 (2 + 1) + 2 = 8 convolutions, 6 of them 3x3: 6 pixels of context are exact
    plane = planes(rng, (70, 90))[0]
    whole = replace(engine, tile="off").restore([plane])[0].plane
    tiled = replace(engine, tile=32, overlap=6).restore([plane])[0].plane
    np.testing.assert_allclose(tiled, whole, atol=1e-6)


def test_self_ensemble_is_equivariant(engine: Engine, rng: np.random.Generator) -> None:
    # the average over all flips and rotations commutes with each of them
    plane = planes(rng, (20, 28))[0]
    ensemble = replace(engine, tta=True)
    turned = ensemble.restore([np.ascontiguousarray(np.rot90(plane)[:, ::-1])])[0].plane
    straight = ensemble.restore([plane])[0].plane
    np.testing.assert_allclose(turned, np.rot90(straight)[:, ::-1], atol=1e-6)


class _Failing(torch.nn.Module):
    """Runs out of memory for windows larger than it can hold."""

    grid = 1

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, x: Tensor) -> Tensor:
        if x[0].numel() > self.limit:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")
        return x


def test_tile_is_halved_until_it_fits(plain: Engine, rng: np.random.Generator) -> None:
    plane = planes(rng, (100, 100))[0]
    small = replace(plain, model=_Failing(30 * 30), tile="off", overlap=2)  # type: ignore[arg-type]
    restored = small.restore([plane])[0]
    np.testing.assert_array_equal(restored.plane, plane)
    assert restored.notes == ("out of memory: tile halved to 25",)


def test_no_tile_fits(plain: Engine, rng: np.random.Generator) -> None:
    hopeless = replace(plain, model=_Failing(0), tile="off", overlap=8)  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match="even for a tile"):
        hopeless.restore(planes(rng, (64, 64)))


class _Crowded(torch.nn.Module):
    """Runs out of memory for batches larger than it can hold, and remembers those that it held."""

    grid = 1
    largest_tile = None

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.held: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        if x.numel() > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        self.held.append(x.numel())
        return x


def test_a_batch_is_made_smaller_before_its_tiles_are(
    plain: Engine, rng: np.random.Generator
) -> None:
    plane = planes(rng, (300, 310))[0]
    model = _Crowded(2 * 40 * 40)
    crowded = replace(plain, model=model, tile=40, overlap=4)  # type: ignore[arg-type]
    restored = crowded.restore([plane])[0]
    np.testing.assert_array_equal(restored.plane, plane)
    assert restored.notes == ()
    assert max(model.held) <= 2 * 40 * 40


def test_tiles_are_halved_where_one_alone_does_not_fit(
    plain: Engine, rng: np.random.Generator
) -> None:
    plane = planes(rng, (300, 310))[0]
    model = _Crowded(30 * 30)
    crowded = replace(plain, model=model, tile=40, overlap=4)  # type: ignore[arg-type]
    restored = crowded.restore([plane])[0]
    np.testing.assert_array_equal(restored.plane, plane)
    assert restored.notes == ("out of memory: tile halved to 20",)


def test_a_tile_that_was_alone_is_halved_at_once_whatever_is_batched_beside(
    plain: Engine, rng: np.random.Generator
) -> None:
    class Counting(_Crowded):
        tries = 0

        def forward(self, x: Tensor) -> Tensor:
            self.tries += x[0].numel() >= 90 * 90
            return super().forward(x)

    model = Counting(60 * 60)
    crowded = replace(plain, model=model, tile=96, overlap=4)  # type: ignore[arg-type]
    several = planes(rng, (96, 96), *[(9, 9)] * 40)
    for plane, restored in zip(several, crowded.restore(several), strict=True):
        np.testing.assert_array_equal(restored.plane, plane)
    assert model.tries == 1


def test_no_batch_is_larger_than_what_the_memory_holds(
    plain: Engine, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "batch_pixels", 1 << 22)  # of a GPU
    monkeypatch.setattr(memory, "largest_tile", lambda *_: 90)
    monkeypatch.setattr(Engine, "bytes_per_pixel", 1000.0)
    model = _Crowded(1 << 30)
    small = replace(plain, model=model, tile=40, overlap=4)  # type: ignore[arg-type]
    small.restore(planes(rng, (300, 310), (40, 40)))
    assert 40 * 40 < max(model.held) <= 90 * 90


class _BrokenInHalf(torch.nn.Module):
    """Gives NaN in reduced precision, the input in float32."""

    largest_tile = None
    grid = 1

    def forward(self, x: Tensor) -> Tensor:
        return x * float("nan") if torch.is_autocast_enabled("cpu") else x


def test_not_finite_is_done_again_in_float32(plain: Engine, rng: np.random.Generator) -> None:
    runtime = replace(plain.runtime, precision="bf16")
    broken = replace(plain, model=_BrokenInHalf(), runtime=runtime)  # type: ignore[arg-type]
    plane = planes(rng, (20, 20))[0]
    restored = broken.restore([plane])[0]
    np.testing.assert_array_equal(restored.plane, plane)
    assert restored.notes == ("result in bf16 was not finite: done again in float32",)


def test_not_finite_in_float32_is_an_error(plain: Engine, rng: np.random.Generator) -> None:
    class Nan(torch.nn.Module):
        largest_tile = None
        grid = 1

        def forward(self, x: Tensor) -> Tensor:
            return x * float("nan")

    with pytest.raises(ImageError, match="not finite"):
        replace(plain, model=Nan()).restore(planes(rng, (20, 20)))  # type: ignore[arg-type]


def test_faults() -> None:
    lit = np.full((64, 64), 0.5, np.float32)
    assert fault(lit, lit) is None
    assert fault(lit, np.zeros_like(lit)) == "black where the input is not"
    assert fault(lit, lit + 0.3) == "shifted in brightness or colour"
    assert fault(lit, np.full_like(lit, np.inf)) == NOT_FINITE
    half_black = lit.copy()
    half_black[:32] = 0
    assert fault(lit, half_black) == "black where the input is not"


def test_auto_tile_follows_the_free_memory(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda _device: 4_000_000)
    monkeypatch.setattr(memory, "peak_bytes_per_pixel", lambda *_args, **_kwargs: 100.0)
    little = replace(engine, tile="auto", overlap=8)
    side = little.tile_side(1000, 1000)
    assert 100 * side * side <= 4_000_000
    assert little.tile_side(50, 50) == 50


def test_a_small_plane_does_not_wait_for_the_count(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[bool] = []

    def counting(*_args: object, **_kwargs: object) -> float:
        counted.append(True)
        return 100.0

    monkeypatch.setattr(memory, "peak_bytes_per_pixel", counting)
    auto = replace(engine, tile="auto")
    assert auto.tile_side(190, 190) == 190
    assert not counted
    auto.tile_side(200, 200)
    auto.tile_side(300, 300)
    assert counted == [True]


@pytest.mark.parametrize(
    "text",
    [
        "[enforce fail at alloc_cpu.cpp:117] data. DefaultCPUAllocator: can't allocate memory: you "
        "tried to allocate 1 bytes. Error code 12 (Cannot allocate memory)",
        "[enforce fail at alloc_cpu.cpp:117] data. DefaultCPUAllocator: not enough memory: you "
        "tried to allocate 1 bytes.",
        "CUDA out of memory. Tried to allocate 2.00 GiB.",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_memory_that_is_short_is_known_on_every_system(text: str) -> None:
    assert out_of_memory(RuntimeError(text))
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
