"""Several models heard together: ``score_j = Σ_p w_p · z_pj``.

``z_pj`` is model p's score for item j, less the mean and divided by the standard deviation of p's scores for the one
who asks, so that models with scores of different scales can be added.

Source: J. H. Lee, "Analyses of multiple evidence combination", SIGIR 1997 (the sum of normalised scores); M. Montague
and J. Aslam, "Relevance score normalization for metasearch", CIKM 2001 (mean and deviation).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import msgspec

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run, find
from serendip.scorers import Blend
from serendip.scorers.grown import grown
from serendip.types import Scorer, SerendipError


class Options(Config, frozen=True):
    """Options of `Ensemble`."""

    models: Annotated[tuple[str, ...], msgspec.Meta(description="The models, by name, two or more.")] = (
        "spectral",
        "ials",
    )
    weights: Annotated[
        tuple[float, ...], msgspec.Meta(description="w: one weight above 0 for each model; none: all alike.")
    ] = ()
    options: Annotated[
        dict[str, dict[str, Any]], msgspec.Meta(description="Options of the models, by model; none: their defaults.")
    ] = {}  # noqa: RUF012  (msgspec gives each its own)


class Ensemble(Model):
    """Several models, each fitted by itself, whose standardised scores are added."""

    Config = Options
    config: Options
    summary = "Several models heard together; often better than the best of them."
    source = "Montague and Aslam, CIKM 2001"

    def learn(self, data: Dataset, run: Run) -> Blend:
        """Fit one after the other.

        Raises:
            SerendipError: fewer than two models, one named twice or an ensemble itself; weights that are not one above
                0 for each; options for a model that is not among them; or what a model itself refuses.
        """
        names, weights = self.config.models, self.config.weights or (1.0,) * len(self.config.models)
        if len(names) < 2 or len(set(names)) < len(names) or "ensemble" in names:
            raise SerendipError(
                f"ensemble: models must be two or more different ones, none of them an ensemble. Got "
                f"{', '.join(names) or 'none'} instead. Try spectral and ials."
            )
        if len(weights) != len(names) or not all(0 < weight < float("inf") for weight in weights):
            raise SerendipError(
                f"ensemble: weights must be {len(names)} numbers above 0, one per model. "
                f"Got {', '.join(f'{weight:g}' for weight in weights)} instead."
            )
        for name in self.config.options:
            if name not in names:
                raise SerendipError(
                    f"ensemble: options must be of one of the models {', '.join(names)}. Got {name!r} instead."
                )
        models = [find(name)(**self.config.options.get(name, {})) for name in names]
        parts = []
        for done, model in enumerate(models):
            parts.append(model.fit(data, Run(run.seed, run.threads, device=run.device)).lower())
            run.report(done + 1, len(models))
        return Blend(tuple(parts), tuple(weights))

    def renew(self, known: Scorer, change: Change, run: Run) -> Blend | None:
        """Each part as its model knows how; one that knows no way keeps what it knew. None if none knows any."""
        if not isinstance(known, Blend) or len(known.parts) != len(self.config.models):
            return None
        models = [find(name)(**self.config.options.get(name, {})) for name in self.config.models]
        renewed = [model.renew(part, change, run) for model, part in zip(models, known.parts, strict=True)]
        if all(part is None for part in renewed):
            return None
        sizes = change.after.n_users, change.after.n_items
        parts = (grown(old, *sizes) if new is None else new for old, new in zip(known.parts, renewed, strict=True))
        return replace(known, parts=tuple(parts))
