"""RecBole's LightGCN, trained and judged in its own environment by its own program."""

import contextlib
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.general_recommender import LightGCN
from recbole.trainer import Trainer
from recbole.utils import init_seed

NAME = "split"


def train(folder, batch_size, seconds, cores, every=1, learning_rate=0.001):
    """Train until the epoch after so many seconds of training; the test is judged every so many epochs.

    Returns:
        ``epochs``: a row per epoch with the ``seconds`` it took, the seconds of ``training`` so far, and where it was
        judged ``ndcg`` and ``recall`` at 20.
    """
    torch.set_num_threads(cores)
    folder = Path(folder).resolve()
    with tempfile.TemporaryDirectory() as home, contextlib.chdir(home):  # its logs go where it is called
        _write(folder, Path(home) / NAME)
        config = Config(model="LightGCN", dataset=NAME, config_dict=_options(home, batch_size, learning_rate))
        init_seed(config["seed"], config["reproducibility"])
        dataset = create_dataset(config)
        training, _, test = data_preparation(config, dataset)
        model = LightGCN(config, training.dataset).to(config["device"])
        trainer = Trainer(config, model)
        trainer.eval_collector.data_collect(training)
        rows, spent = [], 0.0
        while spent < seconds:
            begin = time.perf_counter()
            trainer._train_epoch(training, len(rows), show_progress=False)
            took = time.perf_counter() - begin
            spent += took
            rows.append({"seconds": took, "training": spent})
            if len(rows) % every == 0:
                found = trainer.evaluate(test, load_best_model=False, show_progress=False)
                rows[-1] |= {"ndcg": float(found["ndcg@20"]), "recall": float(found["recall@20"])}
    return {"epochs": rows}


def _write(source, target):
    """The split as RecBole reads it: one file a part. What RecBole validates on is not used; it must not be empty."""
    target.mkdir()
    tables = {"train": pq.read_table(source / "train.parquet"), "test": pq.read_table(source / "test.parquet")}
    tables["valid"] = tables["test"].slice(0, 1000)
    for part, table in tables.items():
        users, items = (table[name].to_pylist() for name in ("user_id", "item_id"))
        lines = [f"{user}\t{item}" for user, item in zip(users, items, strict=True)]
        (target / f"{NAME}.{part}.inter").write_text("\n".join(["user_id:token\titem_id:token", *lines]) + "\n")


def _options(home, batch_size, learning_rate):
    return {
        "data_path": home,
        "checkpoint_dir": home,
        "benchmark_filename": ["train", "valid", "test"],
        "load_col": {"inter": ["user_id", "item_id"]},
        "use_gpu": False,
        "seed": 0,
        "state": "ERROR",
        "embedding_size": 64,
        "n_layers": 3,
        "reg_weight": 1e-4,
        "learning_rate": learning_rate,
        "train_batch_size": batch_size,
        "eval_batch_size": 1 << 22,
        "metrics": ["Recall", "NDCG"],
        "topk": [20],
        "valid_metric": "NDCG@20",
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "RO", "group_by": "user", "mode": "full"},
    }
