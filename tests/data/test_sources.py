"""Downloads against a real server on this machine, and every set's files read from small copies made here."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import json
import re
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from serendip.data import archive, fetch, sources
from serendip.types import SerendipError

RATINGS = "".join(
    f"{user}\t{item}\t{1 + (user + item) % 5}\t{880_000_000 + user * 60 + item}\n"
    for user in range(1, 9)
    for item in range(1, 7)
)
FLAGS = ["0"] * 19


def ml_100k() -> bytes:
    """A small archive of the same make as MovieLens 100K."""
    comedy = "|".join([*FLAGS[:5], "1", *FLAGS[6:]])
    both = "|".join([*FLAGS[:1], "1", *FLAGS[2:8], "1", *FLAGS[9:]])
    films = "".join(
        f"{item}|Café No. {item} (1997)|01-Jan-1997||http://example.org/{item}|{both if item % 2 else comedy}\n"
        for item in range(1, 7)
    )
    people = "".join(f"{user}|{20 + user}|{'FM'[user % 2]}|writer|55{user:03d}\n" for user in range(1, 9))
    return zipped(
        {
            "ml-100k/u.data": RATINGS.encode(),
            "ml-100k/u.item": films.encode("latin-1"),
            "ml-100k/u.user": people.encode(),
            "ml-100k/README": b"terms",
        }
    )


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content)
    return buffer.getvalue()


@dataclass
class Served:
    """What the server has, how it behaves, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: int | None = None
    ranges: bool = True
    etag: str | None = '"one"'
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


def handler(served: Served) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(dict(self.headers.items()))
            content = served.files.get(self.path.lstrip("/"))
            if content is None:
                self.send_error(404)
                return
            start, status = 0, 200
            match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if match and served.ranges and self.headers.get("If-Range") == served.etag:
                start, status = int(match[1]), 206
            self.send_response(status)
            self.send_header("Content-Length", str(len(content) - start))
            if served.etag:
                self.send_header("ETag", served.etag)
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            stop = len(content) if served.cut_after is None else min(start + served.cut_after, len(content))
            self.wfile.write(content[start:stop])

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("no_proxy", "*")
    served = Served({"ml-100k.zip": ml_100k()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(served)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        served.url = f"http://127.0.0.1:{server.server_address[1]}/"
        yield served
        server.shutdown()
        thread.join()


def lock_of(cache: Path) -> dict[str, dict[str, object]]:
    return json.loads((cache / "sources.lock.json").read_text())["files"]


def test_a_download_is_unpacked_trusted_on_first_use_and_not_repeated(served: Served, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    files = sources.get(
        "ml-100k", cache=tmp_path, url=served.url, progress=lambda done, total: steps.append((done, total))
    )
    content = served.files["ml-100k.zip"]
    digest = hashlib.sha256(content).hexdigest()
    assert sorted(files.paths) == ["ml-100k/README", "ml-100k/u.data", "ml-100k/u.item", "ml-100k/u.user"]
    assert files.paths["ml-100k/u.data"].read_text() == RATINGS
    assert [(one.file, one.sha256, one.bytes, one.trust) for one in files.receipts] == [
        ("ml-100k.zip", digest, len(content), "first use")
    ]
    assert steps[-1] == (len(content), len(content))
    trusted = lock_of(tmp_path)["ml-100k/ml-100k.zip"]
    assert (trusted["sha256"], trusted["bytes"]) == (digest, len(content))
    assert trusted["url"] == sources.entry("ml-100k").urls[0]
    again = sources.get("ml-100k", cache=tmp_path, url=served.url)
    assert len(served.asked) == 1
    assert again.receipts[0].trust == "seen before"
    assert again.paths == files.paths


def test_a_url_may_name_the_archive_itself(served: Served, tmp_path: Path) -> None:
    files = sources.get("ml-100k", cache=tmp_path, url=served.url + "ml-100k.zip")
    assert "ml-100k/u.data" in files.paths


def test_a_cut_off_download_says_so_and_the_next_one_goes_on_from_there(served: Served, tmp_path: Path) -> None:
    content = served.files["ml-100k.zip"]
    served.cut_after = 500
    with pytest.raises(
        SerendipError, match=rf"expected {len(content):,} bytes. Got 500 instead.*goes on where it stopped"
    ):
        sources.get("ml-100k", cache=tmp_path, url=served.url)
    assert not (tmp_path / "ml-100k" / "files").exists()
    assert (tmp_path / "ml-100k" / "ml-100k.zip.part").stat().st_size == 500
    served.cut_after = None
    files = sources.get("ml-100k", cache=tmp_path, url=served.url)
    assert served.asked[1]["Range"] == "bytes=500-"
    assert served.asked[1]["If-Range"] == '"one"'
    assert files.receipts[0].sha256 == hashlib.sha256(content).hexdigest()
    assert sorted(path.name for path in (tmp_path / "ml-100k").iterdir()) == [".lock", "files", "ml-100k.zip"]


@pytest.mark.parametrize("change", ["no ranges", "other file", "other length"])
def test_a_download_begins_again_where_it_cannot_go_on(served: Served, tmp_path: Path, change: str) -> None:
    served.cut_after = 500
    with pytest.raises(SerendipError):
        sources.get("ml-100k", cache=tmp_path, url=served.url)
    served.cut_after = None
    if change == "no ranges":
        served.ranges = False
    else:
        served.files["ml-100k.zip"] = zipped(
            {"ml-100k/u.data": b"1\t1\t5\t1\n" * (1 if change == "other file" else 999)}
        )
        served.etag = '"two"' if change == "other file" else served.etag
    files = sources.get("ml-100k", cache=tmp_path, url=served.url)
    assert files.receipts[0].sha256 == hashlib.sha256(served.files["ml-100k.zip"]).hexdigest()


def test_a_server_without_a_validator_is_asked_from_the_beginning(served: Served, tmp_path: Path) -> None:
    served.etag, served.cut_after = None, 500
    with pytest.raises(SerendipError):
        sources.get("ml-100k", cache=tmp_path, url=served.url)
    served.cut_after = None
    sources.get("ml-100k", cache=tmp_path, url=served.url)
    assert "Range" not in served.asked[1]


def test_other_bytes_than_those_trusted_are_refused_naming_both_sums(served: Served, tmp_path: Path) -> None:
    sources.get("ml-100k", cache=tmp_path, url=served.url)
    first = hashlib.sha256(served.files["ml-100k.zip"]).hexdigest()
    for path in sorted((tmp_path / "ml-100k").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    served.files["ml-100k.zip"] = zipped({"ml-100k/u.data": b"1\t1\t5\t1\n"})
    second = hashlib.sha256(served.files["ml-100k.zip"]).hexdigest()
    with pytest.raises(SerendipError) as raised:
        sources.get("ml-100k", cache=tmp_path, url=served.url)
    text = str(raised.value)
    assert f"expected sha256 {first} (the one trusted on " in text
    assert f"Got {second} instead" in text
    assert f'remove "ml-100k/ml-100k.zip" from {tmp_path / "sources.lock.json"}' in text
    assert not (tmp_path / "ml-100k" / "files").exists()
    assert not (tmp_path / "ml-100k" / "ml-100k.zip").exists()
    assert lock_of(tmp_path)["ml-100k/ml-100k.zip"]["sha256"] == first


def test_a_published_sum_is_held_to_from_the_first_use(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    path.write_bytes(b"abc")
    published = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert fetch.check(tmp_path / "lock", "a", path, url="", published=published).trust == "publisher"
    path.write_bytes(b"abd")
    with pytest.raises(SerendipError, match=rf"expected sha256 {published} \(the publisher's\)"):
        fetch.check(tmp_path / "lock", "b", path, url="", published=published)


def test_a_missing_file_is_reported_with_the_answer_and_a_way_out(served: Served, tmp_path: Path) -> None:
    served.files.clear()
    with pytest.raises(SerendipError, match=r"answered 404 Not Found\..*serendip data get ml-100k --from DIR"):
        sources.get("ml-100k", cache=tmp_path, url=served.url)
    assert list((tmp_path / "ml-100k").iterdir()) == [tmp_path / "ml-100k" / ".lock"]


def test_without_a_network_the_error_names_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(SerendipError, match=r"could not be reached \(.*refused.*--from DIR.*grouplens.org"):
        sources.get("ml-100k", cache=tmp_path, url=f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("url", ["file:///etc/", "ftp://example.org/"])
def test_only_web_addresses_are_fetched(url: str, tmp_path: Path) -> None:
    with pytest.raises(SerendipError, match="expected an address that begins with http"):
        sources.get("ml-100k", cache=tmp_path, url=url)


def test_a_folder_with_the_archive_needs_no_network(tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "ml-100k.zip").write_bytes(ml_100k())
    files = sources.get("ml-100k", cache=tmp_path / "cache", source_dir=tmp_path / "given")
    assert files.receipts[0].trust == "first use"
    data = sources.load("ml-100k", cache=tmp_path / "cache", source_dir=tmp_path / "given")
    assert len(data.events) == 48


def test_a_folder_with_the_unpacked_files_is_read_where_it_is(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(ml_100k())) as file:
        file.extractall(tmp_path / "deep" / "down")
    files = sources.get("ml-100k", cache=tmp_path / "cache", source_dir=tmp_path)
    assert files.paths["ml-100k/u.data"] == tmp_path / "deep" / "down" / "ml-100k" / "u.data"
    assert not (tmp_path / "cache").exists()
    assert files.receipts == ()


def test_a_folder_without_the_files_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(SerendipError, match=r"expected ml-100k.zip, or the unpacked ml-100k/u.data. Found nothing"):
        sources.get("ml-100k", cache=tmp_path / "cache", source_dir=tmp_path)
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "u.data").write_text("")
    with pytest.raises(SerendipError, match="Found several files of that name"):
        sources.get("ml-100k", cache=tmp_path / "cache", source_dir=tmp_path)
    with pytest.raises(SerendipError, match="no such folder"):
        sources.get("ml-100k", cache=tmp_path / "cache", source_dir=tmp_path / "nowhere")


def test_loading_gives_the_tables_the_times_and_the_titles(served: Served, tmp_path: Path) -> None:
    data = sources.load("ml-100k", cache=tmp_path, url=served.url)
    assert (data.n_users, data.n_items, len(data.events)) == (8, 6, 48)
    assert data.items["title"].to_list()[:2] == ["Café No. 1 (1997)", "Café No. 2 (1997)"]
    assert data.items["genres"].to_list()[:2] == [["Action", "Drama"], ["Comedy"]]
    assert data.users["age"].to_list() == list(range(21, 29))
    assert data.schema.time_kind == "unix"
    assert data.events.labels["rating"][:6].tolist() == [3, 4, 5, 1, 2, 3]
    assert (data.events.weight > 0).all()
    short = [finding.what for finding in data.report.of("warning") if "as published" in finding.what]
    assert short == ["expected 100,000 events, as published. Got 48 instead."]


def test_a_rating_threshold_decides_what_shows_interest(served: Served, tmp_path: Path) -> None:
    data = sources.load("ml-100k", cache=tmp_path, url=served.url, positive_from=4)
    ratings = data.events.labels["rating"]
    np.testing.assert_array_equal(data.events.weight > 0, ratings >= 4)
    with pytest.raises(SerendipError, match="positive_from needs ratings"):
        sources.load("gowalla", cache=tmp_path, positive_from=4)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "ratings_Beauty.csv").write_text("A,B,not a number,1\n")
    with pytest.raises(SerendipError, match=r"ratings_Beauty.csv: expected the file as its publisher made it"):
        sources.load("amazon-2014-beauty", cache=tmp_path / "cache", source_dir=tmp_path)


TEXT = {
    "ml-1m": {
        "ml-1m/ratings.dat": "1::10::5::978300760\n2::11::3::978302109\n",
        "ml-1m/users.dat": "1::F::1::10::48067\n2::M::56::16::70072\n",
        "ml-1m/movies.dat": "10::Château (1999)::Drama|War\n11::Two::Comedy\n",
    },
    "ml-10m": {
        "ml-10M100K/ratings.dat": "1::10::4.5::838985046\n2::11::3::838983525\n",
        "ml-10M100K/movies.dat": "10::One::Drama|War\n11::Two::(no genres listed)\n",
    },
    "ml-25m": {
        "ml-25m/ratings.csv": "userId,movieId,rating,timestamp\n1,10,5.0,1147880044\n2,11,3.5,1147868817\n",
        "ml-25m/movies.csv": 'movieId,title,genres\n10,"One, and more",Drama|War\n11,Two,(no genres listed)\n',
    },
    "lastfm-hetrec-2k": {
        "user_artists.dat": "userID\tartistID\tweight\n1\t10\t13883\n2\t11\t2\n",
        "artists.dat": 'id\tname\turl\tpictureURL\n10\tThe "Ones"\thttp://a\thttp://b\n11\tTwo\thttp://c\t\n',
        "user_friends.dat": "userID\tfriendID\n1\t2\n2\t1\n",
    },
    "movietweetings": {
        "ratings.dat": "1::0000010::8::1365029107\n2::0000011::10::1366576639\n",
        "movies.dat": "0000010::One (1894)::Documentary|Short\n0000011::Two (1895)::\n",
    },
    "goodbooks-10k": {
        "ratings.csv": "user_id,book_id,rating\n1,10,5\n2,11,4\n",
        "books.csv": (
            "book_id,goodreads_book_id,authors,original_publication_year,title\n"
            '10,2767052,"Ann, Bob",2008.0,One\n11,3,Cy,,"Two, again"\n'
        ),
    },
    "amazon-2014-beauty": {"ratings_Beauty.csv": "A39,0205616461,3.0,1369699200\nA3J,0558925278,5.0,1355443200\n"},
}


@pytest.mark.parametrize("name", TEXT)
def test_the_files_of_each_set_are_read(name: str, tmp_path: Path) -> None:
    for path, text in TEXT[name].items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode("latin-1" if name == "ml-1m" else "utf-8"))
    data = sources.load(name, cache=tmp_path / "cache", source_dir=tmp_path)
    assert (data.n_users, data.n_items, len(data.events)) == (2, 2, 2)
    if "title" in data.items.columns:
        assert data.items["title"][0] == {
            "ml-1m": "Château (1999)",
            "ml-25m": "One, and more",
            "lastfm-hetrec-2k": 'The "Ones"',
            "movietweetings": "One (1894)",
        }.get(name, "One")
    if "genres" in data.items.columns:
        assert data.items["genres"][0] in ("Drama|War", "Documentary|Short", ["Drama", "War"], ["Documentary", "Short"])
    if name == "lastfm-hetrec-2k":
        assert data.relations["friends"].rows() == [(0, 1), (1, 0)]
        assert data.events.weight.tolist() == [13883, 2]
    if name == "movietweetings":
        assert data.item_ids.ids.to_list() == ["0000010", "0000011"]


def test_gowalla_check_ins_are_read_from_two_archives(tmp_path: Path) -> None:
    check_ins = (
        "0\t2010-10-19T23:55:27Z\t30.2359091167\t-97.7951395833\t22847\n7\t2010-10-18T22:17:43Z\t30.2\t-97.7\t420\n"
    )
    (tmp_path / "loc-gowalla_totalCheckins.txt.gz").write_bytes(gzip.compress(check_ins.encode()))
    (tmp_path / "loc-gowalla_edges.txt.gz").write_bytes(gzip.compress(b"0\t7\n7\t0\n"))
    data = sources.load("gowalla", cache=tmp_path / "cache", source_dir=tmp_path)
    assert data.events.time.tolist() == [1287532527, 1287440263]
    assert data.user_ids.ids.to_list() == [0, 7]
    assert data.relations["friends"].rows() == [(0, 1), (1, 0)]
    files = sources.get("gowalla", cache=tmp_path / "cache", source_dir=tmp_path)
    assert len(files.receipts) == 2


def test_kuairand_is_read_from_a_tar_and_a_click_shows_interest(tmp_path: Path) -> None:
    header = (
        "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,"
        "play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab\n"
    )
    rows = [
        "0,3,20220421,400,1650485801301,1,0,0,0,0,0,1,90000,104400,0,0,0,0,1\n",
        "1,4,20220422,400,1650572201301,0,0,0,0,0,0,0,100,104400,0,0,0,0,1\n",
    ]
    with tarfile.open(tmp_path / "KuaiRand-Pure.tar.gz", "w:gz") as file:
        for period, row in zip(("4_08_to_4_21", "4_22_to_5_08"), rows, strict=True):
            content = (header + row).encode()
            info = tarfile.TarInfo(f"./KuaiRand-Pure/data/log_standard_{period}_pure.csv")
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    data = sources.load("kuairand-pure", cache=tmp_path / "cache", source_dir=tmp_path)
    assert data.events.time.tolist() == [1650485801, 1650572201]
    assert data.events.weight.tolist() == [1, 0]
    assert data.events.labels["play_time_ms"].tolist() == [90000, 100]


def test_every_entry_is_complete_and_its_addresses_are_secure() -> None:
    for name in sources.names():
        entry = sources.entry(name)
        assert entry.name == name
        assert entry.title
        assert entry.terms
        assert entry.citation
        assert all(url.startswith("https://") for url in (entry.page, *entry.urls))
        assert entry.sha256 == {}
        assert entry.needed
    assert {"ml-100k", "ml-1m", "ml-20m", "ml-25m", "ml-latest-small", "lastfm-hetrec-2k", "gowalla"} <= set(
        sources.names()
    )


def test_an_unknown_set_is_met_with_the_nearest_name() -> None:
    with pytest.raises(SerendipError, match=r"'ml-20' is not one of the public data sets. Did you mean \"ml-20m\"\?"):
        sources.entry("ml-20")
    with pytest.raises(SerendipError, match="Known: ml-100k, ml-1m"):
        sources.entry("zzz")


def test_the_cache_is_named_by_the_environment_or_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SERENDIP_CACHE", str(tmp_path / "mine"))
    assert sources.cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("SERENDIP_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for system, expected in [("linux", ".cache/serendip"), ("darwin", "Library/Caches/serendip")]:
        monkeypatch.setattr("sys.platform", system)
        assert sources.cache_folder() == tmp_path / expected
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "Local"))
    assert sources.cache_folder() == tmp_path / "Local" / "serendip" / "cache"


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SerendipError, match=r"the folder cannot be made.*SERENDIP_CACHE"):
        sources.get("ml-100k", cache=tmp_path / "file")


def test_a_broken_lock_file_is_named(served: Served, tmp_path: Path) -> None:
    (tmp_path / "sources.lock.json").write_text("{")
    with pytest.raises(SerendipError, match=r"sources.lock.json: expected the sums of files trusted earlier"):
        sources.get("ml-100k", cache=tmp_path, url=served.url)


def test_two_downloads_of_one_file_do_not_mix(tmp_path: Path) -> None:
    with fetch.alone(tmp_path, "busy"), pytest.raises(SerendipError, match="being downloaded by another process"):
        fetch.download("http://127.0.0.1:9/a.zip", tmp_path / "a.zip", hint="")


@pytest.mark.parametrize(
    "name", ["../out.txt", "/abs.txt", "a/../../out.txt", "c:/x.txt", "a\\..\\x.txt", "nul\x07.txt"]
)
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_that_would_write_elsewhere_is_refused_whole(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"bad.{kind}"
    if kind == "zip":
        path.write_bytes(zipped({"good.txt": b"good", name: b"bad"}))
    else:
        with tarfile.open(path, "w:gz") as file:
            for member in ("good.txt", name):
                file.addfile(tarfile.TarInfo(member))
    with pytest.raises(SerendipError, match="expected relative paths inside the folder"):
        archive.unpack(path, tmp_path / "into")
    assert list(tmp_path.iterdir()) == [path]
    assert not (tmp_path.parent / "out.txt").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_special_files_in_a_tar_are_refused(kind: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.tar"
    with tarfile.open(path, "w") as file:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = kind, "/etc/passwd"
        file.addfile(info)
    with pytest.raises(SerendipError, match="'link' is a link or a special file"):
        archive.unpack(path, tmp_path / "into")


def test_links_and_encrypted_files_in_a_zip_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.zip"
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(info, "/etc/passwd")
    with pytest.raises(SerendipError, match="'link' is a link or a special file"):
        archive.unpack(path, tmp_path / "into")
    content = bytearray(zipped({"a.txt": b"secret"}))
    content[6] |= 1
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(SerendipError, match=r"'a.txt' is encrypted"):
        archive.unpack(path, tmp_path / "into")


def test_what_comes_out_of_an_archive_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    path.write_bytes(zipped({"zeros": bytes(1 << 20)}))
    with pytest.raises(SerendipError, match="expected at most 100,000 bytes when unpacked"):
        archive.unpack(path, tmp_path / "into", most_bytes=100_000)
    path.write_bytes(zipped({str(number): b"" for number in range(20)}))
    with pytest.raises(SerendipError, match="expected at most 10 files"):
        archive.unpack(path, tmp_path / "into", most_files=10)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(1 << 20)))
    with pytest.raises(SerendipError, match="expected at most 100,000 bytes"):
        archive.unpack(tmp_path / "bomb.gz", tmp_path / "into", most_bytes=100_000)
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize("name", ["cut.zip", "cut.tar.gz", "cut.gz"])
def test_a_damaged_archive_is_named(name: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0).bytes(50_000)
    if name.endswith("tar.gz"):
        with tarfile.open(tmp_path / name, "w:gz") as file:
            info = tarfile.TarInfo("a")
            info.size = len(random)
            file.addfile(info, io.BytesIO(random))
    else:
        (tmp_path / name).write_bytes(zipped({"a": random}) if name.endswith("zip") else gzip.compress(random))
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SerendipError, match=r"expected a whole archive\. It cannot be unpacked"):
        archive.unpack(tmp_path / name, tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_a_file_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.tar"
    with tarfile.open(path, "w") as file:
        for _ in range(2):
            file.addfile(tarfile.TarInfo("same"))
    with pytest.raises(SerendipError, match="holds 'same' twice"):
        archive.unpack(path, tmp_path / "into")
