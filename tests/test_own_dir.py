"""Files of ours: written, replaced, read, locked and removed, and never through a link."""

import errno
import multiprocessing
import os
import pickle
import resource
import stat
from pathlib import Path

import pytest

from pipeline.errors import FileError, MissingFileError
from pipeline.own_dir import LockedError, OwnDir, is_partial
from pipeline.plain_file import open_given, read_given

SECONDS = 20


@pytest.fixture
def victim(tmp_path):
    """A directory elsewhere, with a file in it."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "file").write_text("precious")
    return tmp_path / "victim"


@pytest.fixture
def ours(tmp_path):
    folder = OwnDir.of(tmp_path / "ours")
    folder.make()
    return folder


def message(expected, call):
    with pytest.raises(expected) as caught:
        call()
    text = str(caught.value)
    assert text.isprintable(), text
    return text


def in_time(call, *arguments):
    """Whether a call ends; in a process of its own, since one on a pipe would never come back."""
    child = multiprocessing.get_context("fork").Process(target=call, args=arguments)
    child.start()
    child.join(SECONDS)
    if child.is_alive():
        child.kill()
        child.join()
        return False
    return True


WRITES = {
    "write_bytes": lambda folder: folder.write_bytes("name", b"new"),
    "write_text": lambda folder: folder.write_text("name", "new"),
    "write_json": lambda folder: folder.write_json("name", {"a": 1}),
    "append": lambda folder: folder.append("name", b"new"),
    "lock": lambda folder: folder.lock("name").__enter__(),
    "require_writable": lambda folder: folder.require_writable("name"),
}
READS = {
    "read_bytes": lambda folder: folder.read_bytes("name", 100),
    "read_text": lambda folder: folder.read_text("name", 100),
}


@pytest.mark.parametrize("call", (WRITES | READS).values(), ids=WRITES | READS)
def test_a_link_is_rejected_and_its_target_stays(ours, victim, call):
    (ours.path / "name").symlink_to(victim / "file")
    text = message(FileError, lambda: call(ours))
    assert text == (
        f"'{ours}/name' is a link to '{victim}/file'; a regular file is needed. Remove it, or put a regular "
        "file there."
    )
    assert (victim / "file").read_text() == "precious"
    assert [path.name for path in ours.path.iterdir()] == ["name"]


@pytest.mark.parametrize("call", (WRITES | READS).values(), ids=WRITES | READS)
def test_a_link_that_leads_nowhere_makes_no_file_there(ours, victim, call):
    (ours.path / "name").symlink_to(victim / "other")
    assert "is a link to" in message(FileError, lambda: call(ours))
    assert not (victim / "other").exists()


@pytest.mark.parametrize("call", (WRITES | READS).values(), ids=WRITES | READS)
def test_a_link_in_place_of_a_directory_is_rejected(ours, victim, call):
    (ours.path / "below").symlink_to(victim)
    text = message(FileError, lambda: call(ours / "below"))
    assert text.startswith(f"'{ours}/below' is a link to '{victim}'; a directory is needed.")
    assert [path.name for path in victim.iterdir()] == ["file"]


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES)
def test_a_link_in_the_given_path_is_followed(tmp_path, victim, call):
    (tmp_path / "runs").symlink_to(victim)
    call(OwnDir.of(tmp_path / "runs"))
    assert (victim / "file").read_text() == "precious"


@pytest.mark.parametrize("call", (WRITES | READS).values(), ids=WRITES | READS)
def test_a_pipe_blocks_nothing(ours, call):
    os.mkfifo(ours.path / "name")
    assert in_time(message, FileError, lambda: call(ours))
    assert "name' is a pipe; a regular file is needed" in message(FileError, lambda: call(ours))


def test_a_pipe_that_appears_after_the_look_at_it_blocks_nothing(ours, monkeypatch):
    """Opening decides: what `lstat` has found may be something else a moment later."""
    os.mkfifo(ours.path / "name")
    monkeypatch.setattr(OwnDir, "_require_file", lambda *_: None)
    for call in (READS["read_bytes"], WRITES["append"], WRITES["lock"]):
        assert in_time(message, FileError, lambda call=call: call(ours))


def test_a_link_that_appears_after_the_look_at_it_is_not_followed(ours, victim, monkeypatch):
    (ours.path / "name").symlink_to(victim / "file")
    (ours.path / "below").symlink_to(victim)
    monkeypatch.setattr(OwnDir, "_require_file", lambda *_: None)
    monkeypatch.setattr("pipeline.own_dir.status_of", lambda *_: None)
    for call in (READS["read_bytes"], WRITES["append"], WRITES["lock"]):
        message(FileError, lambda call=call: call(ours))
    for call in (WRITES | READS).values():
        message(FileError, lambda call=call: call(ours / "below"))
    ours.write_text("name", "new")
    assert (ours.path / "name").read_text() == "new"
    assert not (ours.path / "name").is_symlink()
    assert (victim / "file").read_text() == "precious"


def test_devices_directories_and_giants_are_not_read(ours, tmp_path):
    (ours / "sub").make()
    assert "is a directory; a regular file" in message(FileError, lambda: ours.read_bytes("sub", 100))
    (ours.path / "giant").touch()
    os.truncate(ours.path / "giant", 1 << 40)
    text = message(FileError, lambda: ours.read_bytes("giant", 100))
    assert text == f"'{ours}/giant' has 1099511627776 bytes; allowed: 100. Put the right file there."
    (tmp_path / "zero").symlink_to("/dev/zero")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    text = message(FileError, lambda: read_given(tmp_path / "zero", 1 << 40))
    assert text.startswith(f"'{tmp_path}/zero' is a device; a regular file is needed.")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


@pytest.mark.parametrize("read", [lambda f: f.read(), lambda f: f.read(101), lambda f: f.readline()])
def test_a_file_that_grows_while_it_is_read_is_not_read_to_its_end(ours, read):
    path = ours.path / "grows"
    path.write_bytes(b"x" * 100)
    with ours.open_read("grows", 100) as file:
        with path.open("ab") as more:
            more.write(b"y" * 1000)
        text = message(FileError, lambda: read(file))
    assert (
        text == f"It grew while it was read: '{path}' has 101 bytes; allowed: 100. Put the right file there."
    )


def test_a_file_of_the_largest_size_is_read_whole(ours):
    content = bytes(range(256)) * 1000
    ours.write_bytes("name", content)
    assert ours.read_bytes("name", len(content)) == content
    with open_given(ours.path / "name", len(content)) as file:
        assert (file.read(3), file.seek(-2, os.SEEK_END), file.read()) == (b"\0\1\2", 255_998, b"\xfe\xff")
    assert "allowed: 255999" in message(FileError, lambda: ours.read_bytes("name", len(content) - 1))


def test_a_file_that_the_user_named_may_be_a_link(tmp_path, victim):
    (tmp_path / "spec").symlink_to(victim / "file")
    assert read_given(tmp_path / "spec", 100) == b"precious"
    assert "No such file" in message(MissingFileError, lambda: read_given(tmp_path / "none", 100))


def test_a_missing_file_has_its_own_error(ours):
    message(MissingFileError, lambda: ours.read_bytes("none", 100))
    message(MissingFileError, lambda: (ours / "none").read_bytes("none", 100))
    assert (ours.kind("none"), (ours / "none").kind("none"), OwnDir.of("/none").kind("x")) == (None,) * 3
    assert not (ours / "none").exists()
    assert not (ours / "none" / "below").exists()


def test_text_that_is_no_text_is_named(ours):
    ours.write_bytes("name", b"\xff")
    assert "is not UTF-8 text (byte 0)" in message(FileError, lambda: ours.read_text("name", 10))


def test_files_are_as_any_other_and_replaced_at_once(ours):
    mask = os.umask(0o027)
    try:
        ours.write_text("name", "old")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((ours.path / "name").stat().st_mode) == 0o640
    with pytest.raises(ZeroDivisionError), ours.replacing("name") as file:
        file.write(b"half" * (1 // 0))
    assert {path.name: path.read_text() for path in ours.path.iterdir()} == {"name": "old"}
    with ours.replacing("name") as file:
        file.write(b"new")
        (partial,) = (path.name for path in ours.path.iterdir() if path.name != "name")
        assert is_partial(partial)
        assert (ours.path / "name").read_text() == "old"
    assert {path.name: path.read_text() for path in ours.path.iterdir()} == {"name": "new"}


def test_files_that_belong_together_are_written_together_or_not_at_all(ours):
    ours.write_together({"a": "old", "b": b"old"})
    os.mkfifo(ours.path / "c")
    assert "c' is a pipe" in message(
        FileError, lambda: ours.write_together({"a": "new", "b": "new", "c": "new"})
    )
    assert {name: (ours.path / name).read_text() for name in "ab"} == {"a": "old", "b": "old"}
    assert sorted(ours.entries()) == ["a", "b", "c"]


def test_an_empty_directory_alone_is_removed_with_its_name(ours, victim):
    (ours / "a" / "b").make()
    (ours.path / "link").symlink_to(victim)
    for folder in (ours / "a", ours / "link", ours / "link" / "sub", ours / "none", ours):
        folder.remove_empty()
    assert sorted(ours.entries()) == ["a", "link"]
    (ours / "a" / "b").remove_empty()
    assert (ours / "a").entries() == {}


def test_appending_adds_all_or_nothing(ours, victim, monkeypatch):
    ours.append("lines", b"one\n")
    ours.append("lines", b"two\n")
    real = os.write

    def full(file, content):
        if len(content) < 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, content[:5])

    monkeypatch.setattr(os, "write", full)
    text = message(FileError, lambda: ours.append("lines", b"a third line\n"))
    assert text == (
        f"'{ours}/lines' cannot be written: No space left on device; free some space, or give another place."
    )
    assert (ours.path / "lines").read_text() == "one\ntwo\n"
    monkeypatch.undo()
    os.link(victim / "file", ours.path / "second")
    assert "several names" in message(FileError, lambda: ours.append("second", b"x"))
    assert (victim / "file").read_text() == "precious"


def test_the_reason_of_the_system_comes_with_advice(ours):
    assert "; give a shorter name." in message(FileError, lambda: ours.write_text("n" * 300, ""))
    assert "; give a shorter name." in message(FileError, (ours / ("n" * 300)).make)


@pytest.mark.parametrize("name", ["", ".", "..", "../name", "/etc/passwd", "a/b", "a\0b"])
def test_a_name_that_leads_elsewhere_is_none(ours, name):
    for call in (
        lambda: ours.write_text(name, ""),
        lambda: ours.read_bytes(name, 1),
        lambda: ours.append(name, b""),
        lambda: ours.remove_file(name),
        lambda: ours.lock(name).__enter__(),
    ):
        assert "is not a name" in message(FileError, call)
    if name not in ("a/b", "."):
        message(FileError, lambda: ours / name)


def test_directories_are_made_listed_renamed_and_removed(ours):
    (ours / "a" / "b").make()
    (ours / "a" / "b").make()
    (ours / "a/b").write_text("file", "x")
    (ours.path / "link").symlink_to("a")
    os.mkfifo(ours.path / "pipe")
    assert ours.entries() == {"a": "directory", "link": "link", "pipe": "other"}
    assert (ours / "a" / "b").entries() == {"file": "file"}
    assert [(ours / name).is_dir() for name in ("a", "link", "pipe", "none")] == [True, False, False, False]
    (ours / "a" / "b").move_to(ours / "c")
    assert (ours.path / "c" / "file").read_text() == "x"
    with pytest.raises(FileError, match="cannot be created: Directory not empty"):
        (ours / "a").move_to(ours / "c")
    for name in ("a", "c", "none"):
        (ours / name).remove_tree()
    ours.remove_file("link")
    ours.remove_file("none")
    assert ours.entries() == {"pipe": "other"}


def test_no_tree_is_removed_through_a_link(ours, victim):
    (ours.path / "evil").symlink_to(victim)
    (victim / "sub").mkdir()
    (ours / "good").make()
    (ours.path / "good" / "link").symlink_to(victim)
    for folder in (ours / "evil", ours / "evil" / "sub"):
        assert f"'{ours}/evil' is a link to" in message(FileError, folder.remove_tree)
    (ours / "good").remove_tree()
    assert sorted(path.name for path in victim.iterdir()) == ["file", "sub"]
    assert f"'{ours}/evil' is a link" in message(FileError, (ours / "evil" / "new").make)
    assert f"'{ours}/evil' is a link" in message(
        FileError, lambda: (ours / "evil" / "sub").move_to(ours / "x")
    )


def test_a_tree_of_too_many_levels_is_an_error_of_one_line(ours, monkeypatch):
    def too_deep(*_, **__):
        raise RecursionError

    (ours / "deep").make()
    monkeypatch.setattr("shutil.rmtree", too_deep)  # as Python 3.11 and 3.12 do from 1000 levels on
    too_deep.avoids_symlink_attacks = True
    text = message(FileError, (ours / "deep").remove_tree)
    assert text == f"'{ours}/deep' has too many levels to be removed; run `rm -r` on it."


def test_a_directory_is_made_with_a_mode(ours):
    (ours / "mine" / "alone").make(stat.S_IRWXU)
    assert stat.S_IMODE((ours.path / "mine" / "alone").stat().st_mode) == stat.S_IRWXU


def test_a_lock_is_held_against_others_and_freed(ours):
    with ours.lock(".lock"):
        text = message(LockedError, lambda: ours.lock(".lock").__enter__())
        assert text == f"'{ours}/.lock' is locked by another process."
    with ours.lock(".lock"):
        pass


def test_a_directory_travels_to_other_processes(ours):
    below = ours / "a"
    assert pickle.loads(pickle.dumps(below)) == below
    assert below.path == Path(str(below))


def test_a_file_gets_a_further_name_and_no_other_file_is_left(tmp_path):
    place = OwnDir.of(tmp_path)
    place.write_bytes("a", b"one")
    for _ in range(2):
        place.link("a", "b")
        assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == {"a": b"one", "b": b"one"}
    place.write_bytes("a", b"two")
    assert (tmp_path / "b").read_bytes() == b"one"
    place.link("a", "b")
    assert (tmp_path / "b").read_bytes() == b"two"


def test_without_hard_links_a_further_name_is_a_copy(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError

    monkeypatch.setattr(os, "link", refused)
    place = OwnDir.of(tmp_path)
    place.write_bytes("a", b"one")
    place.link("a", "b")
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == {"a": b"one", "b": b"one"}
