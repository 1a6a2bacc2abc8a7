"""Layers of click-through models: what makes one number, or one vector, of several fields."""

from serendip.nn.interact.attention import FieldAttention
from serendip.nn.interact.cross import Cross, CrossLayer, CrossMixture, CrossNetwork, CrossV2
from serendip.nn.interact.dots import Dots
from serendip.nn.interact.pairwise import FFM, FM, BiInteraction
from serendip.nn.interact.target_attention import TargetAttention
from serendip.nn.interact.two_streams import BilinearFusion, FeatureGate

__all__ = [
    "FFM",
    "FM",
    "BiInteraction",
    "BilinearFusion",
    "Cross",
    "CrossLayer",
    "CrossMixture",
    "CrossNetwork",
    "CrossV2",
    "Dots",
    "FeatureGate",
    "FieldAttention",
    "TargetAttention",
]
