"""NLRN as the paper writes it: every pixel and every neighbour one by one, nothing clever.

Written from papers/nlrn.txt alone, in float64, against the names of the weights files.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from memnet_cli.models.configs import NLRNConfig

State = dict[str, Tensor]


def _norm_relu(x: Tensor, state: State, name: str) -> Tensor:
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    scaled = (x - mean[None, :, None, None]) / torch.sqrt(variance[None, :, None, None] + 1e-5)
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    return torch.relu(scaled * weight[None, :, None, None] + bias[None, :, None, None])


def _logit(metric: str, a: Tensor, b: Tensor, theta: Tensor | None, psi: Tensor | None) -> Tensor:
    """Return the correlation of two pixels' features, before exp where there is one (Table 1)."""
    if metric == "euclidean":
        return -(a - b).square().sum() / a.numel()
    if metric in {"gaussian", "dot_product"}:
        return a @ b
    assert theta is not None
    if metric == "symmetric_embedded_gaussian":
        return (theta @ a) @ (theta @ b)
    assert psi is not None
    return (theta @ a) @ (psi @ b)


def non_local(
    features: Tensor, config: NLRNConfig, state: State, name: str, earlier: Tensor
) -> tuple[Tensor, Tensor]:
    """Return Z (C, H, W) of eq. 6 and the logits (H, W, q, q), for one plane (C, H, W)."""
    channels, height, width = features.shape
    q, reach = config.neighbourhood, config.neighbourhood // 2
    theta = state[f"{name}.theta.weight"][:, :, 0, 0] if f"{name}.theta.weight" in state else None
    psi = state[f"{name}.psi.weight"][:, :, 0, 0] if f"{name}.psi.weight" in state else None
    g = state[f"{name}.g.weight"][:, :, 0, 0]
    logits = torch.zeros(height, width, q, q, dtype=features.dtype)
    result = torch.zeros(channels, height, width, dtype=features.dtype)
    for i in range(height):
        for j in range(width):
            values = torch.zeros(q, q, channels, dtype=features.dtype)
            for di in range(q):
                for dj in range(q):
                    other = features[:, (i + di - reach) % height, (j + dj - reach) % width]
                    own = _logit(config.metric, features[:, i, j], other, theta, psi)
                    logits[i, j, di, dj] = earlier[i, j, di, dj] + own
                    values[di, dj] = g @ other
            if config.metric.endswith("dot_product"):
                weights = logits[i, j] / (q * q)
            else:
                weights = torch.softmax(logits[i, j].flatten(), 0).reshape(q, q)
            result[:, i, j] = torch.einsum("ab,abc->c", weights, values)
    return result, logits


def literal_nlrn(x: Tensor, config: NLRNConfig, state: State) -> Tensor:
    """Restore one plane (1, 1, H, W) float64 with the weights ``state`` in eval mode."""

    def conv(y: Tensor, name: str) -> Tensor:
        return F.conv2d(y, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    height, width, q = x.shape[2], x.shape[3], config.neighbourhood
    first = step_state = conv(x, "feature")
    nothing = torch.zeros(height, width, q, q, dtype=x.dtype)
    correlation = nothing
    for step in range(config.steps):
        shared = f"transitions.{0 if config.share_weights else step}"
        own = f"norms.{step}"
        if config.nonlocal_every == 0:
            mixed = _norm_relu(step_state, state, f"{own}.unit")
            mixed = torch.relu(F.conv2d(mixed, state[f"{shared}.unit.inner.weight"]))
            step_state = step_state + F.conv2d(mixed, state[f"{shared}.unit.g.weight"])
        elif step % config.nonlocal_every == 0:
            features = _norm_relu(step_state, state, f"{own}.unit")[0]
            z, correlation = non_local(
                features,
                config,
                state,
                f"{shared}.unit",
                correlation if config.propagate else nothing,
            )
            step_state = step_state + z[None]
        residual = conv(_norm_relu(step_state, state, f"{own}.conv1"), f"{shared}.conv1")
        residual = conv(_norm_relu(residual, state, f"{own}.conv2"), f"{shared}.conv2")
        step_state = first + residual
    return x + conv(_norm_relu(step_state, state, "reconstruction_norm"), "reconstruction")
