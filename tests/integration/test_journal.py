"""The embedded emulator's journal: what was acknowledged survives a kill, what was cut off is dropped."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from infra.local.journal import Journal, JournalError, Request


def request(number):
    return Request("/", {"x-amz-target": "DynamoDB_20120810.PutItem"}, f"body {number}".encode())


def test_requests_come_back_in_order_after_a_kill(tmp_path):
    """Nothing is closed: a killed process does not get to."""
    journal = Journal(tmp_path)
    for number in range(5):
        journal.write(request(number))
    assert list(Journal(tmp_path).requests()) == [request(number) for number in range(5)]


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_line_that_a_kill_cut_off_is_dropped_and_the_next_one_is_whole(tmp_path, cut):
    journal = Journal(tmp_path)
    journal.write(request(1))
    journal.write(request(2))
    journal.close()
    file = tmp_path / "requests-0.jsonl"
    os.truncate(file, file.stat().st_size - cut)
    journal = Journal(tmp_path)
    assert list(journal.requests()) == [request(1)]
    journal.write(request(3))
    assert list(Journal(tmp_path).requests()) == [request(1), request(3)]


def switched(journal):
    (journal.next_snapshot() / "state.json").write_text("{}")
    journal.switch()


def kept(directory):
    return sorted(path.name for path in directory.iterdir())


def test_after_a_switch_the_snapshot_counts_and_the_generation_before_is_kept_until_the_next(tmp_path):
    journal = Journal(tmp_path)
    journal.write(request(1))
    switched(journal)
    journal.write(request(2))
    again = Journal(tmp_path)
    assert list(again.requests()) == [request(2)]
    assert (again.snapshot / "state.json").exists()
    assert kept(tmp_path) == ["CURRENT", "requests-0.jsonl", "requests-1.jsonl", "snapshot-1"]
    switched(again)
    assert kept(tmp_path) == ["CURRENT", "requests-1.jsonl", "snapshot-1", "snapshot-2"]


def test_from_an_older_generation_on_all_later_requests_are_told_and_new_ones_come_last(tmp_path):
    journal = Journal(tmp_path)
    journal.write(request(1))
    switched(journal)
    journal.write(request(2))
    (tmp_path / "CURRENT").write_text(f"{journal.older_generation}\n")
    again = Journal(tmp_path)
    assert again.snapshot is None
    again.write(request(3))
    assert list(again.requests()) == [request(1), request(2), request(3)]
    switched(again)
    assert Journal(tmp_path).generation == 2
    assert list(Journal(tmp_path).requests()) == []


def test_what_counts_is_on_the_disk_before_it_counts(tmp_path, monkeypatch):
    """Else a power cut after the switch could leave an empty snapshot, and nothing before it."""
    events = []
    journal = Journal(tmp_path)
    journal.write(request(1))
    state = journal.next_snapshot() / "state.json"
    state.write_text("{}")
    names = {file.stat().st_ino: file.name for file in (state, state.parent, tmp_path)}
    replace = Path.replace

    def replaced(path, target):
        events.append(f"{path.name} becomes {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", lambda file: events.append(names.get(os.fstat(file).st_ino, "another")))
    monkeypatch.setattr(Path, "replace", replaced)
    journal.switch()
    folder = tmp_path.name
    assert events == ["state.json", "snapshot.new", folder, "another", "CURRENT.new becomes CURRENT", folder]


def test_a_kill_before_the_switch_leaves_the_old_generation_whole(tmp_path):
    journal = Journal(tmp_path)
    journal.write(request(1))
    (journal.next_snapshot() / "state.json").write_text("half")
    again = Journal(tmp_path)
    assert list(again.requests()) == [request(1)]
    assert again.snapshot is None
    assert list(again.next_snapshot().iterdir()) == []


@pytest.mark.parametrize("end", [b"\0" * 50, b'{"path"', b"\xff"])
def test_an_end_without_a_line_end_is_dropped_whatever_it_is(tmp_path, end):
    journal = Journal(tmp_path)
    journal.write(request(1))
    journal.close()
    with (tmp_path / "requests-0.jsonl").open("ab") as file:
        file.write(end)
    journal = Journal(tmp_path)
    assert list(journal.requests()) == [request(1)]
    journal.write(request(2))
    assert list(Journal(tmp_path).requests()) == [request(1), request(2)]


@pytest.mark.parametrize(
    "line", [b"\0\0\0", b"garbage", b"[]", b"{}", b"7", b'{"path": "/", "headers": {}, "body": 7}']
)
def test_a_damaged_line_is_named_and_never_passed_over(tmp_path, line):
    journal = Journal(tmp_path)
    journal.write(request(1))
    file = tmp_path / "requests-0.jsonl"
    file.write_bytes(file.read_bytes() + line + b"\n" + file.read_bytes())
    with pytest.raises(JournalError, match=r"requests-0\.jsonl, line 2"):
        list(Journal(tmp_path).requests())


def test_requests_are_read_one_by_one(tmp_path):
    """However long the journal is, it is never in memory as a whole."""
    journal = Journal(tmp_path)
    for number in range(3):
        journal.write(request(number))
    reading = Journal(tmp_path)
    requests = reading.requests()
    next(requests)
    assert 0 < reading.read_bytes < journal.size_bytes
    list(requests)
    assert reading.read_bytes == journal.size_bytes


def test_a_full_disk_is_an_error_and_leaves_no_half_line(tmp_path, monkeypatch):
    journal = Journal(tmp_path)
    journal.write(request(1))
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:20]))
    with pytest.raises(OSError, match="full"):
        journal.write(request(2))
    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "no space")))
    with pytest.raises(OSError, match="no space"):
        journal.write(request(3))
    monkeypatch.undo()
    journal.write(request(4))
    assert list(Journal(tmp_path).requests()) == [request(1), request(4)]
