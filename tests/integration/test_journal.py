"""The embedded emulator's journal: what was acknowledged survives a kill, what was cut off is dropped."""

from __future__ import annotations

import errno
import os

import pytest

from infra.local.journal import Journal, Request


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


def test_after_a_switch_the_snapshot_counts_and_older_requests_are_forgotten(tmp_path):
    journal = Journal(tmp_path)
    journal.write(request(1))
    (journal.next_snapshot() / "state.json").write_text("{}")
    journal.switch()
    journal.write(request(2))
    again = Journal(tmp_path)
    assert list(again.requests()) == [request(2)]
    assert (again.snapshot / "state.json").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["CURRENT", "requests-1.jsonl", "snapshot-1"]


def test_a_kill_before_the_switch_leaves_the_old_generation_whole(tmp_path):
    journal = Journal(tmp_path)
    journal.write(request(1))
    (journal.next_snapshot() / "state.json").write_text("half")
    again = Journal(tmp_path)
    assert list(again.requests()) == [request(1)]
    assert not (again.snapshot / "state.json").exists()
    assert list(again.next_snapshot().iterdir()) == []


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
