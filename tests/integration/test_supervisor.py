"""How the parts of a local run are waited for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from infra.local import processes, supervisor
from infra.local.logs import Log
from infra.local.processes import Child

AT_WORK = """
import http.server, sys, time
from infra.local.progress import Progress
with Progress(every_s=0.1) as progress:
    progress.now("replaying 7 requests")
    time.sleep({works_s})
class Quiet(http.server.BaseHTTPRequestHandler):
    do_GET = lambda self: self.send_error(404)
    log_message = lambda *_: None
http.server.HTTPServer(("127.0.0.1", {port}), Quiet).serve_forever()
"""


@pytest.fixture
def child(tmp_path):
    """Silent or at work for a while; answers at last."""
    started = []

    def start(code):
        log = Log(tmp_path / "part.log")
        with log.opened() as output:
            process = subprocess.Popen([sys.executable, "-c", code], stdout=output, stderr=output)
        started.append(process)
        return Child("part", process, log)

    yield start
    for process in started:
        process.kill()
        process.wait()


def free_url():
    with processes.listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
    return port, f"http://127.0.0.1:{port}"


def test_a_part_that_says_that_it_is_at_work_is_waited_for_beyond_the_limit(child, monkeypatch, capsys):
    monkeypatch.setattr(supervisor, "READY_WITHIN_S", 1.0)
    port, url = free_url()
    supervisor._wait(child(AT_WORK.format(works_s=3, port=port)), url, "part")
    told = capsys.readouterr().out
    assert "part: replaying 7 requests ..." in told
    assert "part: ready after" in told


def test_a_part_that_is_silent_is_given_up(child, monkeypatch):
    monkeypatch.setattr(supervisor, "READY_WITHIN_S", 1.0)
    _, url = free_url()
    with pytest.raises(supervisor.StartError, match="no answer within 1 s"):
        supervisor._wait(child("import time; time.sleep(60)"), url, "part")


def test_a_part_that_ends_is_told_with_its_last_words(child):
    _, url = free_url()
    with pytest.raises(supervisor.StartError, match="the reason"):
        supervisor._wait(child("raise SystemExit('the reason')"), url, "part")
