"""Rankers of FuxiCTR's layers, trained in its own environment by the step of its own base model.

Its package holds the layers, the base model and the regularisers, and no model: they are put together here as its model
zoo has them. It is given what was quickest here: batches that are slices of tensors, no loader, no progress bar.
"""

import tempfile

import numpy as np
import torch
from fuxictr.features import FeatureMap
from fuxictr.pytorch.layers import (
    CrossNet,
    CrossNetV2,
    FactorizationMachine,
    FeatureEmbedding,
    InnerProductInteraction,
    LogisticRegression,
    MLP_Block,
)
from fuxictr.pytorch.models import BaseModel
from fuxictr.pytorch.torch_utils import seed_everything
from torch import nn

from benchmarks.peers.judging import rows, train
from benchmarks.peers.lists import stay

BLOCK = 8192


def feature_map(fields, sizes):
    """Fields of one code each."""
    found = FeatureMap("rows", tempfile.gettempdir())
    for name, size in zip(fields, sizes, strict=True):
        found.features[name] = {"source": "", "type": "categorical", "vocab_size": size}
    found.labels = ["label"]
    found.num_fields = found.get_num_fields()
    found.set_column_index()
    return found


class TwoStreams(nn.Module):
    """FinalMLP over its fields: each stream behind a gate that reads nothing, and what both find multiplied."""

    def __init__(self, flat, hidden, mlp):
        super().__init__()
        self.known = nn.ParameterList(nn.Parameter(torch.zeros(1, flat)) for _ in range(2))
        self.gates = nn.ModuleList(
            MLP_Block(flat, [64], output_dim=flat, output_activation="Sigmoid") for _ in range(2)
        )
        self.streams = nn.ModuleList(mlp(flat, None) for _ in range(2))
        self.own = nn.ModuleList(nn.Linear(hidden, 1) for _ in range(2))
        self.both = nn.Parameter(nn.init.xavier_normal_(torch.empty(hidden, hidden)))

    def forward(self, flat):
        """``[b, flat]`` → ``[b, 1]``."""
        left, right = (
            stream(2 * gate(known) * flat)
            for stream, gate, known in zip(self.streams, self.gates, self.known, strict=True)
        )
        return self.own[0](left) + self.own[1](right) + (left @ self.both * right).sum(dim=1, keepdim=True)


class Ranker(BaseModel):
    """What scores, in FuxiCTR's base model."""

    def __init__(self, features, kind, reg, dim, hidden, layers, crosses, dropout, batch_norm, lr):
        super().__init__(
            features,
            embedding_regularizer=reg,
            net_regularizer=None,
            verbose=0,
            model_root=tempfile.gettempdir(),
            metrics=["AUC"],
        )
        self.kind, f = kind, features.num_fields
        self.embedding_layer = FeatureEmbedding(features, dim) if kind != "lr" else None
        flat = f * dim

        def mlp(inputs, out=1):
            widths = [hidden] * layers
            return MLP_Block(inputs, widths, output_dim=out, dropout_rates=dropout, batch_norm=batch_norm)

        if kind in ("lr", "wide_deep"):
            self.linear = LogisticRegression(features, use_bias=kind == "lr")
        if kind in ("fm", "deepfm"):
            self.fm = FactorizationMachine(features)
        if kind in ("deepfm", "wide_deep"):
            self.deep = mlp(flat)
        if kind in ("dcn", "dcn_v2"):
            self.cross = (CrossNet if kind == "dcn" else CrossNetV2)(flat, crosses)
            self.deep = mlp(flat, None)
            self.out = nn.Linear(flat + hidden, 1)
        if kind == "dlrm":
            self.products = InnerProductInteraction(f, output="inner_product")
            self.deep = mlp(f * (f - 1) // 2)
        if kind == "final_mlp":
            self.streams = TwoStreams(flat, hidden, mlp)
        self.compile("adam", "binary_crossentropy", lr)
        self.reset_parameters()
        self.model_to_device()

    def forward(self, inputs):
        """Probabilities."""
        given = self.get_inputs(inputs)
        if self.kind == "lr":
            return {"y_pred": self.output_activation(self.linear(given))}
        vectors = self.embedding_layer(given)
        if self.kind == "fm":
            score = self.fm(given, vectors)
        elif self.kind == "deepfm":
            score = self.fm(given, vectors) + self.deep(vectors.flatten(1))
        elif self.kind == "wide_deep":
            score = self.linear(given) + self.deep(vectors.flatten(1))
        elif self.kind == "dlrm":
            score = self.deep(self.products(vectors))
        elif self.kind == "final_mlp":
            score = self.streams(vectors.flatten(1))
        else:
            flat = vectors.flatten(1)
            score = self.out(torch.cat([self.cross(flat), self.deep(flat)], dim=-1))
        return {"y_pred": self.output_activation(score)}


MODELS = ("lr", "fm", "wide_deep", "deepfm", "dcn", "dcn_v2", "dlrm", "final_mlp")


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
    stay(cores)
    torch.set_num_threads(cores)
    seed_everything(seed)
    found, sizes = rows(file, fields)
    net = Ranker(feature_map(fields, sizes), model, **options)
    parts = {name: (codes, labels) for name, (codes, labels) in found.items()}
    parts = {name: (torch.from_numpy(codes), torch.from_numpy(labels)) for name, (codes, labels) in parts.items()}

    def batch(codes, labels=None):
        given = dict(zip(fields, codes.unbind(1), strict=True))
        return given if labels is None else {**given, "label": labels}

    def step(codes, labels):
        net.train()
        net.train_step(batch(codes, labels))

    @torch.no_grad()
    def predict(codes):
        net.eval()
        return np.concatenate([net(batch(part))["y_pred"].numpy().ravel() for part in codes.split(BLOCK)])

    net._max_gradient_norm = 10.0
    return train(step, predict, parts, batch_size, epochs, judge, patience, seed, worse=net.lr_decay)
