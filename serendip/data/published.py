"""The table of public data sets: addresses, terms, citations, and how their files are read.

A checksum stands here only where it was computed from bytes that the publisher served; the others are trusted on first
use. Numbers of events are those that the publishers state.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from serendip.data.reading import Entry, Frame, Reading
from serendip.data.schema import Schema

GENRES = (
    *(
        "unknown",
        "Action",
        "Adventure",
        "Animation",
        "Children's",
        "Comedy",
        "Crime",
        "Documentary",
        "Drama",
        "Fantasy",
    ),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)


def _flags_to_genres(table: Frame) -> Frame:
    """The 0/1 column per genre as one list."""
    lists = pl.concat_list(pl.when(pl.col(name) == 1).then(pl.lit(name)) for name in GENRES).list.drop_nulls()
    return table.select("item_id", "title", lists.alias("genres"))


def _no_genres(table: Frame) -> Frame:
    return table.with_columns(pl.col("genres").replace("(no genres listed)", None))


def _check_ins(table: Frame) -> Frame:
    """Times such as ``2010-10-19T23:55:27Z`` as unix seconds."""
    when = pl.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")
    return table.with_columns(when.dt.epoch("s"))


def _milliseconds(table: Frame) -> Frame:
    return table.with_columns(timestamp=pl.col("time_ms") // 1000)


RATINGS = {"user_id": pl.Int64, "item_id": pl.Int64, "rating": pl.Float64, "timestamp": pl.Int64}
FILMS = {"item_id": pl.Int64, "title": pl.String, "genres": pl.String}
PEOPLE = {"user_id": pl.Int64, "gender": pl.String, "age": pl.Int64, "occupation": pl.String, "zip_code": pl.String}
RATED = Schema(timestamp="timestamp", time_kind="unix", rating="rating")
RATED_FILMS = Schema(timestamp="timestamp", time_kind="unix", rating="rating", title="title", categories=("genres",))

GROUPLENS = "https://files.grouplens.org/datasets"
RESEARCH_ONLY = (
    "Research use; no redistribution or commercial use without permission of GroupLens; acknowledge and cite."
)
HARPER = (
    "F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context. "
    "ACM TiiS 5, 4, Article 19."
)


def _movielens_csv(name: str, title: str, rows: int) -> Entry:
    return Entry(
        name=name,
        title=title,
        page="https://grouplens.org/datasets/movielens/",
        urls=(f"{GROUPLENS}/movielens/{name}.zip",),
        terms=RESEARCH_ONLY,
        citation=HARPER,
        rows=rows,
        schema=RATED_FILMS,
        events=Reading((f"{name}/ratings.csv",), RATINGS, header=True),
        items=Reading((f"{name}/movies.csv",), FILMS, header=True, quoted=True, tidy=_no_genres),
    )


def _movielens_dat(name: str, title: str, rows: int, folder: str, encoding: str, *, people: bool) -> Entry:
    return Entry(
        name=name,
        title=title,
        page="https://grouplens.org/datasets/movielens/",
        urls=(f"{GROUPLENS}/movielens/{name}.zip",),
        terms=RESEARCH_ONLY,
        citation=HARPER,
        rows=rows,
        schema=RATED_FILMS,
        events=Reading((f"{folder}/ratings.dat",), RATINGS, separator="::"),
        users=Reading((f"{folder}/users.dat",), PEOPLE, separator="::") if people else None,
        items=Reading((f"{folder}/movies.dat",), FILMS, separator="::", encoding=encoding, tidy=_no_genres),
    )


def _amazon(name: str, category: str, rows: int) -> Entry:
    columns = {"user_id": pl.String, "item_id": pl.String, "rating": pl.Float64, "timestamp": pl.Int64}
    return Entry(
        name=name,
        title=f"Amazon ratings of 2014, {category.replace('_', ' ')}",
        page="https://cseweb.ucsd.edu/~jmcauley/datasets/amazon/links.html",
        urls=(f"https://snap.stanford.edu/data/amazon/productGraph/categoryFiles/ratings_{category}.csv",),
        terms="No licence stated; given for research, cite the papers.",
        citation=(
            "Ruining He and Julian McAuley. 2016. Ups and Downs: Modeling the Visual Evolution of Fashion Trends with "
            "One-Class Collaborative Filtering. WWW."
        ),
        rows=rows,
        schema=RATED,
        events=Reading((f"ratings_{category}.csv",), columns),
    )


_ALL = (
    Entry(
        name="ml-100k",
        title="MovieLens 100K: ratings of 1997-98 with genres and demographics",
        page="https://grouplens.org/datasets/movielens/100k/",
        urls=(f"{GROUPLENS}/movielens/ml-100k.zip",),
        terms=RESEARCH_ONLY,
        citation=HARPER,
        rows=100_000,
        schema=RATED_FILMS,
        events=Reading(("ml-100k/u.data",), RATINGS, separator="\t"),
        users=Reading(
            ("ml-100k/u.user",),
            {name: PEOPLE[name] for name in ("user_id", "age", "gender", "occupation", "zip_code")},
            separator="|",
        ),
        items=Reading(
            ("ml-100k/u.item",),
            {
                "item_id": pl.Int64,
                **dict.fromkeys(("title", "released", "video_released", "imdb_url"), pl.String),
                **dict.fromkeys(GENRES, pl.Int64),
            },
            separator="|",
            encoding="latin-1",
            tidy=_flags_to_genres,
        ),
    ),
    _movielens_dat(
        "ml-1m",
        "MovieLens 1M: ratings of 2000 with genres and demographics",
        1_000_209,
        "ml-1m",
        "latin-1",
        people=True,
    ),
    _movielens_dat(
        "ml-10m", "MovieLens 10M: ratings up to 2009 with genres", 10_000_054, "ml-10M100K", "utf-8", people=False
    ),
    _movielens_csv("ml-20m", "MovieLens 20M: ratings up to 2015 with genres", 20_000_263),
    _movielens_csv("ml-25m", "MovieLens 25M: ratings up to 2019 with genres", 25_000_095),
    _movielens_csv("ml-32m", "MovieLens 32M: ratings up to 2023 with genres", 32_000_204),
    _movielens_csv("ml-latest-small", "MovieLens latest, small: changes from time to time", 100_836),
    Entry(
        name="lastfm-hetrec-2k",
        title="Last.fm 2K (HetRec 2011): listening counts and friends",
        page="https://grouplens.org/datasets/hetrec-2011/",
        urls=(f"{GROUPLENS}/hetrec2011/hetrec2011-lastfm-2k.zip",),
        terms="Non-commercial use; cite the workshop and Last.fm.",
        citation=(
            "Iván Cantador, Peter Brusilovsky and Tsvi Kuflik. 2011. 2nd Workshop on Information Heterogeneity and "
            "Fusion in Recommender Systems (HetRec 2011). RecSys."
        ),
        rows=92_834,
        schema=Schema(weight="weight", labels={"weight": "count"}, title="title"),
        events=Reading(
            ("user_artists.dat",),
            {"user_id": pl.Int64, "item_id": pl.Int64, "weight": pl.Int64},
            header=True,
            separator="\t",
        ),
        items=Reading(
            ("artists.dat",),
            {"item_id": pl.Int64, **dict.fromkeys(("title", "url", "picture"), pl.String)},
            header=True,
            separator="\t",
            keep=("item_id", "title"),
        ),
        relations={
            "friends": Reading(
                ("user_friends.dat",), {"user_id": pl.Int64, "friend_id": pl.Int64}, header=True, separator="\t"
            )
        },
    ),
    Entry(
        name="gowalla",
        title="Gowalla (SNAP): check-ins of 2009-10 and friends",
        page="https://snap.stanford.edu/data/loc-gowalla.html",
        urls=(
            "https://snap.stanford.edu/data/loc-gowalla_totalCheckins.txt.gz",
            "https://snap.stanford.edu/data/loc-gowalla_edges.txt.gz",
        ),
        terms="No licence stated; given for research, cite the paper.",
        citation=(
            "Eunjoon Cho, Seth A. Myers and Jure Leskovec. 2011. Friendship and Mobility: User Movement in "
            "Location-Based Social Networks. KDD."
        ),
        rows=6_442_890,
        schema=Schema(timestamp="timestamp", time_kind="unix"),
        events=Reading(
            ("loc-gowalla_totalCheckins.txt",),
            {
                "user_id": pl.Int64,
                "timestamp": pl.String,
                "latitude": pl.Float64,
                "longitude": pl.Float64,
                "item_id": pl.Int64,
            },
            separator="\t",
            keep=("user_id", "item_id", "timestamp"),
            tidy=_check_ins,
        ),
        relations={
            "friends": Reading(("loc-gowalla_edges.txt",), {"user_id": pl.Int64, "friend_id": pl.Int64}, separator="\t")
        },
    ),
    Entry(
        name="movietweetings",
        title="MovieTweetings, latest: ratings from tweets",
        page="https://github.com/sidooms/MovieTweetings",
        urls=tuple(
            f"https://raw.githubusercontent.com/sidooms/MovieTweetings/master/latest/{file}"
            for file in ("ratings.dat", "movies.dat")
        ),
        terms="See the repository; cite the paper.",
        citation=(
            "Simon Dooms, Toon De Pessemier and Luc Martens. 2013. MovieTweetings: a Movie Rating Dataset Collected "
            "From Twitter. CrowdRec at RecSys."
        ),
        rows=None,
        schema=RATED_FILMS,
        events=Reading(
            ("ratings.dat",),
            {"user_id": pl.Int64, "item_id": pl.String, "rating": pl.Float64, "timestamp": pl.Int64},
            separator="::",
        ),
        items=Reading(("movies.dat",), {"item_id": pl.String, "title": pl.String, "genres": pl.String}, separator="::"),
    ),
    Entry(
        name="goodbooks-10k",
        title="goodbooks-10k: ratings of ten thousand books, no times",
        page="https://github.com/zygmuntz/goodbooks-10k",
        urls=("https://github.com/zygmuntz/goodbooks-10k/releases/download/v1.0/goodbooks-10k.zip",),
        terms="CC BY-SA 4.0.",
        citation="Zygmunt Zając. 2017. Goodbooks-10k: a new dataset for book recommendations. FastML.",
        rows=5_976_479,
        schema=Schema(item="book_id", rating="rating", title="title", text=("authors",)),
        events=Reading(("ratings.csv",), {"user_id": pl.Int64, "book_id": pl.Int64, "rating": pl.Float64}, header=True),
        items=Reading(
            ("books.csv",), header=True, quoted=True, keep=("book_id", "title", "authors", "original_publication_year")
        ),
    ),
    Entry(
        name="kuairand-pure",
        title="KuaiRand-Pure: short videos of 2022 with twelve kinds of feedback",
        page="https://kuairand.com",
        urls=("https://zenodo.org/records/10439422/files/KuaiRand-Pure.tar.gz",),
        terms="CC BY-SA 4.0.",
        citation=(
            "Chongming Gao, Shijun Li, Yuan Zhang, Jiawei Chen, Biao Li, Wenqiang Lei, Peng Jiang and Xiangnan He. "
            "2022. KuaiRand: An Unbiased Sequential Recommendation Dataset with Randomly Exposed Videos. CIKM."
        ),
        rows=1_436_609,
        schema=Schema(
            item="video_id",
            timestamp="timestamp",
            time_kind="unix",
            weight="is_click",
            labels={
                "is_click": "binary",
                "is_like": "binary",
                "is_follow": "binary",
                "long_view": "binary",
                "play_time_ms": "duration",
            },
        ),
        events=Reading(
            (
                "KuaiRand-Pure/data/log_standard_4_08_to_4_21_pure.csv",
                "KuaiRand-Pure/data/log_standard_4_22_to_5_08_pure.csv",
            ),
            header=True,
            keep=("user_id", "video_id", "time_ms", "is_click", "is_like", "is_follow", "long_view", "play_time_ms"),
            tidy=_milliseconds,
        ),
    ),
    _amazon("amazon-2014-beauty", "Beauty", 2_023_070),
    _amazon("amazon-2014-digital-music", "Digital_Music", 836_006),
    _amazon("amazon-2014-toys", "Toys_and_Games", 2_252_771),
    _amazon("amazon-2014-video-games", "Video_Games", 1_324_753),
)

ENTRIES: Mapping[str, Entry] = MappingProxyType({one.name: one for one in _ALL})
"""Every set by its name."""

__all__ = ["ENTRIES"]
