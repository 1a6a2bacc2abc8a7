"""Rankers of DeepCTR-Torch, trained in its own environment with the optimiser and the losses of its own base model.

It is given what was quickest here: batches that are slices of one tensor, no loader, no progress bar.
"""

import sys
import types

import numpy as np
import torch

from benchmarks.peers.judging import rows, train
from benchmarks.peers.lists import stay

# Without it the package asks the registry for its newest version when it is imported, below.
sys.modules.setdefault("requests", types.ModuleType("requests"))

BLOCK = 8192
MODELS = ("wide_deep", "deepfm", "dcn", "dcn_v2", "autoint")


def build(kind, columns, batch_size, seed, reg, hidden, layers, crosses, dropout, batch_norm):
    """The model; ``reg`` is λ of ``λ/2`` times the squares of all vectors, beside a mean over rows."""
    from deepctr_torch.models import DCN, WDL, AutoInt, DeepFM

    deep = {"dnn_hidden_units": [hidden] * layers, "dnn_dropout": dropout, "dnn_use_bn": batch_norm, "seed": seed}
    # Its loss is a sum over the rows of a batch.
    deep["l2_reg_embedding"] = reg * batch_size / 2
    wide = {"l2_reg_linear": reg * batch_size / 2}
    if kind == "wide_deep":
        return WDL(columns, columns, **deep, **wide)
    if kind == "deepfm":
        return DeepFM(columns, columns, **deep, **wide)
    if kind == "autoint":
        return AutoInt(columns, columns, **deep)
    kinds = {"dcn": "vector", "dcn_v2": "matrix"}
    return DCN([], columns, cross_num=crosses, cross_parameterization=kinds[kind], l2_reg_cross=0, **deep)


def fit(file, fields, model, options, epochs, seed, cores, batch_size, judge=(), patience=None):
    """Train a model on the rows of ``train``.

    Args:
        file: a Parquet file of rows: ``part``, ``label`` and fields of codes.
        fields: the columns that are fields.
        model: one of `MODELS`.
        options: ``reg``, ``dim``, ``hidden``, ``layers``, ``crosses``, ``dropout``, ``batch_norm``, ``lr``.
        epochs, seed, batch_size, judge, patience: as `benchmarks.peers.judging.train`.
        cores: threads.

    Returns:
        As `benchmarks.peers.judging.train`.
    """
    from deepctr_torch.inputs import SparseFeat

    stay(cores)
    torch.set_num_threads(cores)
    found, sizes = rows(file, fields)
    own = dict(options)
    dim, lr = own.pop("dim"), own.pop("lr")
    columns = [SparseFeat(name, size, embedding_dim=dim) for name, size in zip(fields, sizes, strict=True)]
    net = build(model, columns, batch_size, seed, **own)
    net.compile(torch.optim.Adam(net.parameters(), lr=lr), "binary_crossentropy")
    # It takes codes as float32, which holds them exactly below 2 ** 24.
    parts = {name: (torch.from_numpy(codes).float(), torch.from_numpy(y)) for name, (codes, y) in found.items()}

    def step(codes, labels):
        net.train()
        net.optim.zero_grad()
        loss = net.loss_func(net(codes).squeeze(-1), labels, reduction="sum")
        (loss + net.get_regularization_loss() + net.aux_loss).backward()
        net.optim.step()

    @torch.no_grad()
    def predict(codes):
        net.eval()
        return np.concatenate([net(part).numpy().ravel() for part in codes.split(BLOCK)])

    return train(step, predict, parts, batch_size, epochs, judge, patience, seed)
