"""A file of records: what was written whole is read, what was not is dropped, what was changed is refused."""

import pytest

from serendip.catalogue.log import CatalogueError, Log


@pytest.fixture
def log(tmp_path):
    made = Log(tmp_path / "live" / "changes.log")
    made.create()
    return made


def filled(log, count=3):
    _, place, _ = log.read()
    for at in range(count):
        place = log.append(bytes([at]) * (10 + at), place)
    return place


def test_reads_what_was_appended(log):
    assert log.read()[0] == []
    place = filled(log)
    payloads, end, afresh = log.read()
    assert payloads == [b"\0" * 10, b"\1" * 11, b"\2" * 12]
    assert (end, afresh) == (place, True)
    place = log.append(b"more", place)
    assert log.read(end) == ([b"more"], place, False)
    log.create()
    assert log.read(place) == ([], place, False)


def test_every_cut_leaves_the_records_before_it(log):
    filled(log)
    whole = log.path.read_bytes()
    ends = [32, 32 + 34, 32 + 34 + 35, 32 + 34 + 35 + 36]
    assert len(whole) == ends[-1]
    for cut in range(32, len(whole)):
        log.path.write_bytes(whole[:cut])
        payloads, place, _ = log.read()
        assert len(payloads) == sum(end <= cut for end in ends) - 1
        after = log.append(b"next", place)
        assert log.read()[0] == [*payloads, b"next"]
        assert log.path.stat().st_size == after.end


def test_zeros_at_the_end_are_what_a_loss_of_power_leaves(log):
    filled(log)
    with log.path.open("ab") as file:
        file.write(bytes(500))
    assert len(log.read()[0]) == 3


def test_every_changed_byte_but_of_the_last_record_is_noticed(log):
    filled(log)
    whole = bytearray(log.path.read_bytes())
    for at in [*range(16), *range(32, 32 + 34 + 35)]:
        other = whole.copy()
        other[at] ^= 0x41
        log.path.write_bytes(other)
        with pytest.raises(CatalogueError, match=r"was damaged at byte|is no file of live items"):
            log.read()


def test_put_together_it_is_another_file(log):
    place = filled(log)
    after = log.rewrite([b"all"])
    assert log.read(place) == ([b"all"], after, True)
    assert [path.name for path in log.path.parent.iterdir()] == ["changes.log"]


def test_says_what_cannot_be_used(log, tmp_path):
    with pytest.raises(CatalogueError, match="cannot be read: No such file"):
        Log(tmp_path / "none").read()
    (tmp_path / "file").write_text("x")
    with pytest.raises(CatalogueError, match="is no file of live items"):
        Log(tmp_path / "file").read()
    with pytest.raises(CatalogueError, match="cannot be written"):
        Log(tmp_path / "file" / "changes.log").create()
    with pytest.raises(CatalogueError, match="A change must be at most"):
        log.append(bytes((1 << 28) + 1), filled(log, 0))
