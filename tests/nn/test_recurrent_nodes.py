from __future__ import annotations

import pytest
import torch
from torch import nn

from serendip.nn.recurrent_nodes import Node, with_nodes


def test_layers_become_nodes_that_share_their_weights_and_names() -> None:
    net = nn.ModuleDict(
        {"a": nn.GRU(3, 4, num_layers=2, batch_first=True), "b": nn.Sequential(nn.LSTM(3, 4, batch_first=True))}
    )
    made = with_nodes(net)
    assert isinstance(made["a"], Node)
    assert isinstance(made["b"][0], Node)
    assert isinstance(net["a"], nn.GRU), "the module itself must stay as it was"
    ours, theirs = dict(made.named_parameters()), dict(net.named_parameters())
    assert list(ours) == list(theirs)
    assert all(ours[name] is theirs[name] for name in ours)


@pytest.mark.parametrize(
    "layer",
    [
        nn.GRU(3, 4),
        nn.GRU(3, 4, batch_first=True, bidirectional=True),
        nn.LSTM(3, 4, batch_first=True, bias=False),
        nn.LSTM(3, 4, batch_first=True, proj_size=2),
        nn.RNN(3, 4, batch_first=True),
    ],
    ids=["time first", "both ways", "without biases", "projected", "plain"],
)
def test_other_layers_stay_what_they_are(layer: nn.Module) -> None:
    assert not any(isinstance(part, Node) for part in with_nodes(nn.Sequential(layer)).modules())


def test_a_state_to_begin_with_is_refused() -> None:
    node = Node(nn.GRU(3, 4, batch_first=True))
    with pytest.raises(NotImplementedError, match="without a state to begin with"):
        node(torch.zeros(1, 2, 3), torch.zeros(1, 1, 4))
