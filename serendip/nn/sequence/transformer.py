"""Self-attention over a history, each layer normalised before it (SASRec; BERT4Rec if not causal).

``x_p = √d e_p + w_{n-1-p}``    with n the length of the history: places are counted from its end
``x ← x + attention( norm(x) )``,  ``x ← x + W₂ a( W₁ norm(x) + b₁ ) + b₂``    in each block, and ``norm(x)`` at the end

With gated residuals a branch f adds ``σ( W x + b ) ⊙ f( norm(x) )``.

Source: W.-C. Kang and J. McAuley, "Self-attentive sequential recommendation", ICDM 2018; F. Sun et al., "BERT4Rec:
Sequential recommendation with bidirectional encoder representations from transformer", CIKM 2019; the gates after
F. Borisyuk et al., "From features to transformers: Redefining ranking for scalable impact", 2025; SwiGLU: N. Shazeer,
"GLU variants improve transformer", 2020.

Deviations: places count from the end, so that a history says the same however it is padded. What attention weighs is
not dropped out: fused attention cannot do that on the processor, where training would take half as long again. The
products of attention have no biases; the norm before them has.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from serendip.nn.dropout import Dropout
from serendip.nn.sequence.encoder import Encoder
from serendip.nn.tower import activation_layer

Inner = Literal["relu", "gelu", "swiglu"]
_PLACES = 0.02
"""Deviation of the numbers that the vectors of places start from."""
_NEVER = -1e9
"""Added to the weight of what is absent: far below any other, but finite, so that a history of nothing has numbers."""


class Transformer(Encoder):
    """Blocks of attention and of two layers each."""

    def __init__(
        self,
        dim: int,
        blocks: int = 2,
        heads: int = 1,
        length: int = 200,
        dropout: float = 0.2,
        *,
        hidden: int | None = None,
        activation: Inner = "relu",
        gated: bool = False,
        causal: bool = True,
    ) -> None:
        """Blocks over vectors of ``dim``.

        Args:
            dim: of an event's vector and of a state.
            blocks: how many.
            heads: of attention, which share the dimensions.
            length: how many places have a vector of their own; all earlier events share the first one's.
            dropout: the share left out in training of what goes in, of what each branch adds and within the layers.
            hidden: between the two layers of a block; None: ``dim``.
            activation: between them.
            gated: whether what a branch adds is gated by what it is added to.
            causal: False: a state comes from the whole history.

        Raises:
            ValueError: the heads cannot share the dimensions.
        """
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim must be a multiple of the {heads} heads. Got {dim} instead.")
        self.out, self.causal = dim, causal
        self.places = nn.Parameter(torch.empty(length, dim))
        nn.init.trunc_normal_(self.places, std=_PLACES, a=-2 * _PLACES, b=2 * _PLACES)
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(dim, heads, hidden or dim, dropout, activation, gated, causal) for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(dim)

    def states(self, x: Tensor, present: Tensor) -> Tensor:
        """As `Encoder.states`."""
        t = x.shape[1]
        left = present.sum(dim=1, keepdim=True) - 1 - torch.arange(t, device=x.device)
        places = functional.embedding(left.clamp(0, len(self.places) - 1), self.places)
        x = self.dropout(torch.add(places, x, alpha=self.out**0.5))
        mask = None if self.causal else ((~present).to(x.dtype) * _NEVER)[:, None, None, :]
        for block in self.blocks:
            x = block(x, mask)
        normed: Tensor = self.norm(x)
        return normed


class Block(nn.Module):
    """Attention, then two layers, each added to what came in."""

    def __init__(
        self, dim: int, heads: int, hidden: int, dropout: float, activation: Inner, gated: bool, causal: bool
    ) -> None:
        """As `Transformer`."""
        super().__init__()
        self.attention = Residual(Attention(dim, heads, causal), dim, dropout, gated)
        self.layers = Residual(FeedForward(dim, hidden, dropout, activation), dim, dropout, gated)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """``[b, t, d]`` → ``[b, t, d]``."""
        y: Tensor = self.layers(self.attention(x, mask), None)
        return y


class Residual(nn.Module):
    """``x + dropout( f( norm(x) ) )``, or ``x + σ( W x + b ) ⊙ dropout( f( norm(x) ) )``."""

    def __init__(self, branch: nn.Module, dim: int, dropout: float, gated: bool) -> None:
        """Around ``branch``."""
        super().__init__()
        self.norm, self.branch, self.dropout = nn.LayerNorm(dim), branch, Dropout(dropout)
        self.gate = nn.Linear(dim, dim) if gated else None

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """``[b, t, d]`` → ``[b, t, d]``."""
        added: Tensor = self.dropout(self.branch(self.norm(x), mask))
        return x + added if self.gate is None else torch.addcmul(x, torch.sigmoid(self.gate(x)), added)


class Attention(nn.Module):
    """Each position's mean of all, or of those up to it, weighed by ``softmax( q·k / √d )``."""

    def __init__(self, dim: int, heads: int, causal: bool) -> None:
        """Queries, keys and values come of one product."""
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv, self.out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim, bias=False)
        for weight in (*self.qkv.weight.chunk(3), self.out.weight):
            nn.init.xavier_uniform_(weight)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """``[b, t, d]`` → ``[b, t, d]``; ``mask`` is added to the weights before the softmax."""
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).split(x.shape[-1], dim=-1)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
        y: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return y


class FeedForward(nn.Module):
    """``W₂ a( W₁ x + b₁ ) + b₂``; with SwiGLU ``W₂ ( silu( W₁ x + b₁ ) ⊙ ( W₃ x + b₃ ) ) + b₂``."""

    def __init__(self, dim: int, hidden: int, dropout: float, activation: Inner) -> None:
        """Two layers with ``hidden`` numbers between them."""
        super().__init__()
        self.glu = activation == "swiglu"
        self.inner = nn.Linear(dim, 2 * hidden if self.glu else hidden)
        self.activation = nn.SiLU() if activation == "swiglu" else activation_layer(activation)
        self.dropout, self.outer = Dropout(dropout), nn.Linear(hidden, dim)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """``[b, t, d]`` → ``[b, t, d]``; each position by itself, so that the mask does not count."""
        h = self.inner(x)
        if self.glu:
            one, other = h.chunk(2, dim=-1)
            h = self.activation(one) * other
        else:
            h = self.activation(h)
        y: Tensor = self.outer(self.dropout(h))
        return y
