"""The folder of a run on a disk that is full, or fills up meanwhile."""

import errno
import shutil

import pytest

from infra.local import state_dir
from infra.local.state_dir import ROOM_AT_LEAST_BYTES, StateDirError


@pytest.fixture
def disk(monkeypatch):
    """The room that is left on it."""
    left = [10**12]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 0, left[0]))
    return left


def test_a_disk_that_is_nearly_full_is_not_begun_with(disk, tmp_path):
    disk[0] = ROOM_AT_LEAST_BYTES - 1
    with pytest.raises(StateDirError, match="Make room"), state_dir.held(tmp_path):
        pytest.fail("it was begun with")


def test_it_is_noticed_while_the_folder_is_held(disk, tmp_path):
    with state_dir.held(tmp_path):
        state_dir.check_room(tmp_path)
        disk[0] = ROOM_AT_LEAST_BYTES - 1
        with pytest.raises(StateDirError, match="could go unrecorded"):
            state_dir.check_room(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_file_that_finds_no_room_is_told_in_words(tmp_path, number):
    with pytest.raises(StateDirError, match="Make room"), state_dir.held(tmp_path):
        raise OSError(number, "no room")


def test_another_fault_stays_what_it_is(tmp_path):
    with pytest.raises(ConnectionRefusedError), state_dir.held(tmp_path):
        raise ConnectionRefusedError
