"""RecTools' SASRec, trained epoch by epoch in its own environment, and judged by its own lists."""

import logging
import time
import warnings

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

PLACES = 10
WARM = 256
"""Users of a first fit that is thrown away, so that whatever happens only once is not timed."""

warnings.filterwarnings("ignore")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


class Clock(Callback):
    """Seconds of each epoch, and those of all processors, its batches being made included."""

    def __init__(self):
        self.seconds, self.cpu, self.begin = [], [], (0.0, 0.0)

    def on_train_epoch_start(self, trainer, module):
        """The first batch is about to be made."""
        self.begin = time.perf_counter(), time.process_time()

    def on_train_epoch_end(self, trainer, module):
        """The last step is done."""
        self.seconds.append(time.perf_counter() - self.begin[0])
        self.cpu.append(time.process_time() - self.begin[1])


def train(folder, options, cores, epochs=None, seconds=None, judged=True, seed=0):
    """Train so many epochs, or until the one after so many seconds of training; judging is not timed.

    Args:
        folder: holds ``train.parquet`` (``user_id``, ``item_id``, ``place`` in the history) and ``test.parquet``.
        options: of `SASRecModel`.
        cores: threads.
        epochs, seconds: one of them.
        judged: whether to judge after each epoch.
        seed: of the run.

    Returns:
        ``epochs``: a row per epoch with the ``seconds`` it took, those of all processors (``cpu``) and of ``training``
        so far, and ``hit_rate`` and ``ndcg`` at 10 where it was judged; ``users``: how many histories an epoch goes
        through; ``items``.
    """
    torch.set_num_threads(cores)
    events, test = (pd.read_parquet(f"{folder}/{part}.parquet") for part in ("train", "test"))
    few = events[events["user_id"].isin(events["user_id"].unique()[:WARM])]
    model(options).fit(_read(few))
    seed_everything(seed)
    known, learner, rows = _read(events), model(options), []
    while len(rows) < epochs if epochs else sum(row["seconds"] for row in rows) < seconds:
        learner.fit_partial(known, min_epochs=1, max_epochs=1)
        (clock,) = (one for one in learner.fit_trainer.callbacks if isinstance(one, Clock))
        rows.append({"seconds": clock.seconds[-1], "training": sum(clock.seconds), "cpu": clock.cpu[-1]})
        if judged:
            rows[-1] |= quality(learner, known, test)
    prepared = learner.data_preparator
    return {
        "epochs": rows,
        "users": prepared.train_dataset.user_id_map.size,
        "items": len(prepared.get_known_item_ids()),
    }


def model(options):
    """A model with a trainer that keeps the time and writes nothing."""
    return SASRecModel(**options, get_trainer_func=_trainer)


def _trainer():
    return Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Clock()],
    )


def _read(events):
    """The events as RecTools takes them: a later place is a later time."""
    frame = pd.DataFrame(
        {
            Columns.User: events["user_id"],
            Columns.Item: events["item_id"],
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(events["place"], unit="s"),
        }
    )
    return Dataset.construct(frame)


def quality(learner, known, test):
    """HR@10 and NDCG@10 of the held-out items, training items never listed."""
    listed = learner.recommend(test["user_id"].unique(), known, k=PLACES, filter_viewed=True)
    found = test.merge(
        listed, left_on=["user_id", "item_id"], right_on=[Columns.User, Columns.Item], how="inner", suffixes=("", "_")
    )
    gains = 1 / np.log2(1 + found[Columns.Rank].to_numpy())
    return {"hit_rate": len(found) / len(test), "ndcg": float(gains.sum() / len(test))}
