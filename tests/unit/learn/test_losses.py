"""Losses by hand."""

from __future__ import annotations

import pytest
import torch

from sclandmarks.learn.losses import LOSSES, mse, weighted_mse

P_BT = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
T_BT = torch.tensor([[0.0, 2.0], [3.0, 1.0]])


def test_mse_by_hand() -> None:
    """(1 + 0 + 9 + 4) / 4."""
    assert mse(P_BT, T_BT).item() == pytest.approx(14 / 4)


def test_weighted_mse_by_hand() -> None:
    """(1 x 1 + 3 x 0 + 4 x 9 + 2 x 4) / 4: errors at zero targets count, unlike DeepImpute's."""
    assert weighted_mse(P_BT, T_BT).item() == pytest.approx(45 / 4)


def test_names_lead_to_their_losses() -> None:
    """As params.yaml names them."""
    assert (LOSSES["mse"], LOSSES["weighted_mse"]) == (mse, weighted_mse)
