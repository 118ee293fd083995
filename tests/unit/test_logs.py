"""A child's log: added to at each start, set aside when large, read as it grows."""

from __future__ import annotations

from infra.local import logs, progress
from infra.local.logs import Log


def run(path, text):
    log = Log(path)
    with log.opened() as file:
        file.write(text)
    return log


def test_a_new_start_adds_to_the_log(tmp_path):
    run(tmp_path / "log" / "server.log", b"one\n")
    run(tmp_path / "log" / "server.log", b"two\n")
    assert (tmp_path / "log" / "server.log").read_bytes() == b"one\ntwo\n"


def test_a_large_log_is_set_aside_and_the_oldest_of_five_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "LARGE_BYTES", 3)
    for number in range(8):
        run(tmp_path / "server.log", f"run {number}\n".encode())
    names = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert names == {"server.log": "run 7\n"} | {f"server.log.{age}": f"run {7 - age}\n" for age in range(1, 6)}


def test_all_that_was_logged_is_found_the_oldest_first(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "LARGE_BYTES", 3)
    for number in range(3):
        log = run(tmp_path / "server.log", f"run {number}\n".encode())
    assert [path.read_text() for path in log.files()] == ["run 0\n", "run 1\n", "run 2\n"]


def test_last_words_are_this_runs_and_say_nothing_of_progress(tmp_path):
    run(tmp_path / "log", b"of the run before\n")
    log = run(tmp_path / "log", f"one\n{progress.MARK}half\ntwo\n".encode())
    assert log.last_words() == "one\ntwo"
    assert log.last_words(lines=1) == "two"


def test_each_line_is_read_once_and_only_when_it_is_whole(tmp_path):
    run(tmp_path / "log", b"of the run before\n")
    log = Log(tmp_path / "log")
    with log.opened() as file:
        read = []
        for text in (b"", b"on", b"e\ntw", b"o\n\n", b"three"):
            file.write(text)
            file.flush()
            read.append(log.new_lines())
    assert read == [[], [], ["one"], ["two", ""], []]
