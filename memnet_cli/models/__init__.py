"""The networks by name; importing this package does not import torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memnet_cli.errors import UsageError, did_you_mean, shortened
from memnet_cli.models.configs import (
    MemNetConfig,
    ModelConfig,
    NLRNConfig,
    PlainConfig,
    REDNetConfig,
)

if TYPE_CHECKING:
    from memnet_cli.models.base import RestorationModel


@dataclass(frozen=True)
class ModelEntry:
    """One architecture.

    Attributes:
        name: what ``--model`` takes.
        title: its name in the literature.
        config: the class of its config.
        paper: where it was published.
        build: config -> module; imports torch when called.
    """

    name: str
    title: str
    config: type[ModelConfig]
    paper: str
    build: Callable[[ModelConfig], RestorationModel]


def _build_memnet(config: ModelConfig) -> RestorationModel:
    from memnet_cli.models.memnet import MemNet

    assert isinstance(config, MemNetConfig)
    return MemNet(config)


def _build_rednet(config: ModelConfig) -> RestorationModel:
    from memnet_cli.models.rednet import REDNet

    assert isinstance(config, REDNetConfig)
    return REDNet(config)


def _build_nlrn(config: ModelConfig) -> RestorationModel:
    from memnet_cli.models.nlrn import NLRN

    assert isinstance(config, NLRNConfig)
    return NLRN(config)


def _build_plain(config: ModelConfig) -> RestorationModel:
    from memnet_cli.models.plain import PlainNet

    assert isinstance(config, PlainConfig)
    return PlainNet(config)


MODELS: dict[str, ModelEntry] = {
    entry.name: entry
    for entry in (
        ModelEntry("memnet", "MemNet", MemNetConfig, "Tai et al., ICCV 2017", _build_memnet),
        ModelEntry("rednet", "RED-Net", REDNetConfig, "Mao et al., NIPS 2016", _build_rednet),
        ModelEntry("nlrn", "NLRN", NLRNConfig, "Liu et al., NeurIPS 2018", _build_nlrn),
        ModelEntry(
            "plain",
            "VDSR, DnCNN",
            PlainConfig,
            "Kim et al., CVPR 2016; Zhang et al., IEEE TIP 2017",
            _build_plain,
        ),
    )
}


def available_models() -> tuple[str, ...]:
    """Return the names of the architectures."""
    return tuple(MODELS)


def get_model(name: str) -> ModelEntry:
    """Return the architecture called ``name``.

    Raises:
        UsageError: for another name; the message lists the architectures.
    """
    if name not in MODELS:
        raise UsageError(
            f"There is no model '{shortened(name)}'; expected one of {', '.join(MODELS)}."
            + did_you_mean(name, MODELS)
        )
    return MODELS[name]


def config_from_mapping(model: str, values: Mapping[str, object]) -> ModelConfig:
    """Return the config of ``model`` with the given fields; the others keep their defaults.

    Raises:
        UsageError: for an unknown model or field, or a value out of its bounds.
    """
    entry = get_model(model)
    known = [field.name for field in dataclasses.fields(entry.config)]
    for name in values:
        if name not in known:
            raise UsageError(
                f"{entry.title} has no setting '{shortened(name)}'; expected one of "
                f"{', '.join(known)}." + did_you_mean(name, known)
            )
    return entry.config(**values)  # type: ignore[arg-type]


def config_to_mapping(config: ModelConfig) -> dict[str, object]:
    """Return the fields of a config as JSON scalars."""
    return dataclasses.asdict(config)


def build_model(config: ModelConfig) -> RestorationModel:
    """Build the network that ``config`` describes, freshly initialised, in training mode."""
    return get_model(config.model).build(config)
