"""Several processes as one: what torchrun's environment says, and the few things they agree on."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from memnet_cli.errors import DeviceError


@dataclass(frozen=True)
class World:
    """This process among the others.

    Attributes:
        rank: 0 to size - 1; rank 0 logs, measures and saves.
        size: number of processes.
        local_rank: number among the processes of this machine; its GPU.
        local_size: number of processes on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that logs and saves."""
        return self.rank == 0


def world_from_environment() -> World:
    """Return the world that torchrun (or SLURM through it) has set up; one process without it."""
    if "WORLD_SIZE" not in os.environ:
        return World()
    return World(
        rank=int(os.environ.get("RANK", "0")),
        size=int(os.environ["WORLD_SIZE"]),
        local_rank=int(os.environ.get("LOCAL_RANK", "0")),
        local_size=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
    )


def device_of(world: World, name: str) -> str:
    """Return the device of this process.

    Raises:
        DeviceError: for more processes than GPUs on this machine, several on one GPU, or Apple's.
    """
    if world.size == 1:
        return name
    if name.startswith("cuda:") and world.local_size > 1:
        raise DeviceError(
            f"--device {name} is one GPU, and {world.local_size} processes were started on this "
            "machine: give --device cuda, with which each has a GPU of its own."
        )
    on_cuda = name in {"auto", "cuda"} and torch.cuda.is_available()
    if name == "mps" or (name == "auto" and not on_cuda and torch.backends.mps.is_available()):
        raise DeviceError(
            f"{world.size} processes cannot train together on Apple's GPUs: give --device cpu, or "
            "start one process without torchrun."
        )
    if not on_cuda:
        return name
    count = torch.cuda.device_count()
    if world.local_size > count:
        raise DeviceError(
            f"{world.local_size} processes were started on a machine with {count} CUDA devices: "
            f"start torchrun with --nproc-per-node {count}, or give --device cpu."
        )
    return f"cuda:{world.local_rank}"


@contextmanager
def joined(world: World, device: torch.device) -> Iterator[None]:
    """Belong to the process group while training: NCCL on GPUs, gloo on CPUs and for flags."""
    if world.size == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        gc.collect()  # a wrapped network that outlives its group can abort the process at its end
        dist.destroy_process_group()


def agree(world: World, *values: float) -> tuple[float, ...]:
    """Return the largest of each value over all processes, so that all take the same turn."""
    if world.size == 1:
        return values
    together = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(together, op=dist.ReduceOp.MAX)
    return tuple(together.tolist())


def wait_for_all(world: World) -> None:
    """Return once every process has come here."""
    agree(world, 0.0)


def take_over(world: World, tensors: Iterable[Tensor]) -> None:
    """Give every process the leading process's values, in place."""
    if world.size > 1:
        for tensor in tensors:
            dist.broadcast(tensor, 0)
