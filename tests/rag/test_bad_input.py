"""What authors and operators get wrong: one clear sentence each, an honest exit code, and nothing lost.

Every test runs the real command in a process of its own.
"""

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.ingesting import command, environment, finished, ingest, write_book
from tests.support.openai_script import Limits
from tests.support.openai_server import OpenAIServer


@pytest.fixture
def content(tmp_path: Path) -> Path:
    write_book(tmp_path / "content", 3)
    return tmp_path / "content"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def refused(done: subprocess.CompletedProcess[str], *words: str) -> str:
    """The one sentence of a command that could do nothing."""
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    said = lines[-1]
    for word in words:
        assert word in said, said
    assert len(said) < 400
    return said


def kept(data: Path) -> str:
    """What is published."""
    return (data / "index" / "current").read_text()


def test_no_content_folder(tmp_path: Path, data: Path) -> None:
    refused(ingest(tmp_path / "content", data), "no content folder", str(tmp_path / "content"))
    assert not (data / "index").exists()


def test_the_content_folder_is_a_file(tmp_path: Path, data: Path) -> None:
    (tmp_path / "content").write_text("not a folder")
    refused(ingest(tmp_path / "content", data), "not a folder", str(tmp_path / "content"))


def test_an_empty_folder(tmp_path: Path, data: Path) -> None:
    (tmp_path / "content").mkdir()
    (tmp_path / "content" / "notes.txt").write_text("not Markdown")
    refused(ingest(tmp_path / "content", data), "no Markdown file", str(tmp_path / "content"))


def test_a_folder_that_was_emptied_costs_no_index(content: Path, data: Path) -> None:
    assert ingest(content, data).returncode == 0
    before = kept(data)
    shutil.rmtree(content)
    content.mkdir()
    refused(ingest(content, data), "no Markdown file")
    shutil.rmtree(content)
    refused(ingest(content, data), "no content folder")
    assert kept(data) == before


def test_only_drafts(tmp_path: Path, data: Path) -> None:
    (tmp_path / "content").mkdir()
    (tmp_path / "content" / "a.md").write_text("---\ndraft: true\n---\n\n# A\n")
    refused(ingest(tmp_path / "content", data), "draft", str(tmp_path / "content"))


HOSTILE: dict[str, Callable[[Path], object]] = {
    "dangling.md": lambda path: path.symlink_to("nowhere.md"),
    "way-out.md": lambda path: path.symlink_to("/etc/hostname"),
    "circle.md": lambda path: path.symlink_to("circle.md"),
    "binary.md": lambda path: path.write_bytes(bytes(range(256)) * 64),
    "pipe.md": os.mkfifo,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_one_file_that_cannot_be_read_costs_only_itself(content: Path, data: Path, name: str) -> None:
    HOSTILE[name](content / "part-0" / name)
    done = ingest(content, data, "--events")
    assert done.returncode == 0, done.stderr
    end = finished(done)
    assert (end.status, end.added, end.failed) == ("completed", 3, 1)
    assert end.problems[0].path == f"part-0/{name}"
    assert f"part-0/{name}" in end.problems[0].message
    told = ingest(content, data)
    assert told.returncode == 0
    assert told.stderr.count(f"part-0/{name}") == 1


def test_a_folder_named_like_a_page_is_a_folder(content: Path, data: Path) -> None:
    (content / "folder.md").mkdir()
    (content / "folder.md" / "inside.md").write_text("# Inside\n\nText.\n")
    end = finished(ingest(content, data, "--events"))
    assert (end.added, end.failed) == (4, 0)


def test_a_link_to_a_folder_outside(content: Path, data: Path) -> None:
    (content / "outside").symlink_to("/etc")
    end = finished(ingest(content, data, "--events"))
    assert (end.status, end.added, end.failed) == ("completed", 3, 1)
    assert "outside" in end.problems[0].message


def test_a_folder_of_nothing_but_bad_files(tmp_path: Path, data: Path) -> None:
    (tmp_path / "content").mkdir()
    (tmp_path / "content" / "a.md").write_bytes(bytes(range(256)) * 64)
    done = ingest(tmp_path / "content", data)
    refused(done, "Nothing could be indexed", "1 file")
    assert "a.md" in done.stderr


def test_a_line_of_ten_megabytes(content: Path, data: Path) -> None:
    (content / "one-line.md").write_text("# One line\n\n" + "walk the robot up the stairs " * 350_000)
    with OpenAIServer(limits=Limits(native_dimensions=8)) as server:
        done = ingest(content, data, "--events", EMBED_WINDOWS="false", **hosted(server))
    end = finished(done)
    assert (end.status, end.added, end.failed) == ("completed", 4, 0)
    assert end.chunks_total > 1000


def hosted(server: OpenAIServer) -> dict[str, str]:
    return {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": server.key}


def test_a_wrong_key(content: Path, data: Path) -> None:
    with OpenAIServer() as server:
        done = ingest(content, data, **hosted(server) | {"OPENAI_API_KEY": "sk-of-somebody-else"})
        refused(done, "refused the key", server.base_url)
    assert "sk-of-somebody-else" not in done.stderr + done.stdout
    assert not (data / "index" / "current").exists()


def test_a_key_that_is_refused_later_costs_no_index(content: Path, data: Path) -> None:
    with OpenAIServer() as server:
        assert ingest(content, data, **hosted(server)).returncode == 0
        before = kept(data)
        (content / "new.md").write_text("# New\n\nThis is new.\n")
        refused(ingest(content, data, **hosted(server) | {"OPENAI_API_KEY": "sk-wrong"}), "refused the key")
        assert kept(data) == before
        assert finished(ingest(content, data, "--events", **hosted(server))).added == 1


def test_a_wrong_address_of_the_model_server(content: Path, data: Path) -> None:
    with OpenAIServer() as server:
        base = server.base_url
        wrong = base.replace("/v1", "/v2")
        refused(ingest(content, data, **hosted(server) | {"OPENAI_BASE_URL": wrong}), wrong, "404")
    refused(ingest(content, data, OPENAI_BASE_URL=base, OPENAI_API_KEY="sk-any"), base, "cannot be reached")


def test_an_address_that_is_none(content: Path, data: Path) -> None:
    done = ingest(content, data, OPENAI_BASE_URL="localhost:8000")
    assert done.returncode == 2
    assert "OPENAI_BASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_address_of_the_store(content: Path, data: Path) -> None:
    done = ingest(content, data, QDRANT_URL="http://127.0.0.1:9", QDRANT_API_KEY="secret-of-mine")
    refused(done, "127.0.0.1:9", "QDRANT_URL")
    assert len(done.stderr.splitlines()) == 1
    assert "secret-of-mine" not in done.stderr + done.stdout


def test_other_dimensions_make_another_index(content: Path, data: Path) -> None:
    with OpenAIServer() as server:
        assert ingest(content, data, **hosted(server)).returncode == 0
        (content / "part-0" / "page-00001.md").write_text("# Another\n\nText.\n")
        done = ingest(content, data, "--events", **hosted(server), OPENAI_EMBEDDING_DIMENSIONS="64")
        end = finished(done)
        assert (end.status, end.changed, end.unchanged) == ("completed", 1, 2)
        assert end.message.startswith("The index was made anew; 1 changed and 2 unchanged.")
        assert end.chunks_created == end.chunks_total > 0


def test_a_full_disk(content: Path, data: Path) -> None:
    """The limit on the size of a file stands for the disk: writing past it fails in the same places."""
    assert ingest(content, data).returncode == 0
    before = kept(data)
    write_book(content, 300)

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    done = subprocess.run(
        command(),
        env=environment(content, data),
        cwd=content.parent,
        capture_output=True,
        text=True,
        timeout=200,
        preexec_fn=small_files,
    )
    refused(done, "cannot be written", str(data))
    assert kept(data) == before
    assert ingest(content, data, EMBEDDER="openai", OPENAI_BASE_URL="http://127.0.0.1:9").returncode == 1


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, 6 MB large."""
    mount = tmp_path / "disk"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(mount)], capture_output=True)
    if done.returncode:
        pytest.skip("no file system can be mounted here: the full disk was tried by file size alone")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def test_a_disk_with_no_room(content: Path, tiny_disk: Path) -> None:
    refused(ingest(content, tiny_disk / "data"), str(tiny_disk), "full")


def without_privileges(content: Path, data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As a user whom permissions bind; root is one only without two capabilities."""
    bound = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if bound and shutil.which("setpriv") is None:
        pytest.skip("root can read and write everything here: permissions were not tried")
    return subprocess.run(
        [*bound, *command(*arguments)],
        env=environment(content, data),
        cwd=content.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_data_folder_that_cannot_be_written(content: Path, data: Path) -> None:
    """The embedded engine opens its files for writing even to read them, and so such a folder is of no use at all."""
    assert ingest(content, data).returncode == 0
    before = kept(data)
    (content / "new.md").write_text("# New\n\nThis is new.\n")
    with read_only(data):
        refused(without_privileges(content, data), "read-only", str(data))
        refused(without_privileges(content, data, "--force"), "cannot be written", str(data))
    assert kept(data) == before
    assert "1 added" in without_privileges(content, data).stdout


def test_a_data_folder_that_cannot_be_made(content: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir()
    with read_only(tmp_path / "locked"):
        done = without_privileges(content, tmp_path / "locked" / "data")
    refused(done, "cannot be written", str(tmp_path / "locked"))


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    every = [folder, *folder.rglob("*")]
    for path in every:
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        yield
    finally:
        for path in every:
            path.chmod(path.stat().st_mode | 0o200)


def test_files_and_folders_that_may_not_be_read(content: Path, data: Path) -> None:
    (content / "part-0" / "page-00001.md").chmod(0)
    (content / "locked").mkdir()
    (content / "locked" / "a.md").write_text("# A\n")
    (content / "locked").chmod(0)
    try:
        done = without_privileges(content, data)
    finally:
        (content / "locked").chmod(0o700)
    assert done.returncode == 0, done.stderr
    assert "part-0/page-00001.md" in done.stderr
    assert "locked" in done.stderr
    assert "2 files failed" in done.stdout
