"""Downloads against a local HTTP server that can be told to misbehave."""

from __future__ import annotations

import gzip
import os
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from engine.base.errors import InputError
from engine.io import archives

CONTENT = gzip.compress(os.urandom(700_000))


class Server(ThreadingHTTPServer):
    """Answers the n-th request with the n-th of ``answers``, the last one again and again."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[str] = ["whole"]
        self.requested: list[str] = []
        self.stop = Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        answer = self.server.answers[min(len(self.server.requested), len(self.server.answers) - 1)]
        self.server.requested.append(self.path)
        if answer.isdigit():
            self.send_error(int(answer))
        elif answer == "hang":
            self.server.stop.wait()
        else:
            self.send_response(200)
            body = {"page": b"<html>Please sign in</html>", "cut, unannounced": CONTENT[:-1000]}.get(answer, CONTENT)
            if "unannounced" not in answer:
                self.send_header("Content-Length", str(len(body)))
            if answer == "encoded":
                self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(body[:300_000] if answer == "cut" else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path, monkeypatch) -> Iterator[Server]:
    with Server() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("POSELAB_EMDB_URL", server.url + "/emdb")
        monkeypatch.setenv("POSELAB_PDB_URL", server.url + "/pdb/")
        monkeypatch.setenv("POSELAB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(archives, "FIRST_WAIT_S", 0.001)
        yield server
        server.stop.set()
        server.shutdown()
        thread.join()


def cached(tmp_path: Path) -> list[str]:
    return sorted(os.listdir(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("source", "requested", "kept"),
    [
        ("emdb:3400", "/emdb/EMD-3400/map/emd_3400.map.gz", "emd_3400.map.gz"),
        ("EMDB: EMD-0001", "/emdb/EMD-0001/map/emd_0001.map.gz", "emd_0001.map.gz"),
        ("pdb:5j0n", "/pdb/5J0N.cif.gz", "5j0n.cif.gz"),
        ("PDB:5J0N", "/pdb/5J0N.cif.gz", "5j0n.cif.gz"),
        ("pdb:pdb_00005j0n", "/pdb/5J0N.cif.gz", "5j0n.cif.gz"),
        ("PDB: PDB_00005J0N", "/pdb/5J0N.cif.gz", "5j0n.cif.gz"),
        ("pdb:pdb_1000a5j0", "/pdb/pdb_1000a5j0.cif.gz", "pdb_1000a5j0.cif.gz"),
    ],
)
def test_entry_is_downloaded_once_and_kept(server, tmp_path, source, requested, kept):
    news = []
    path = archives.fetch(source, lambda fraction, values: news.append((fraction, values["megabytes"])))
    assert path.read_bytes() == CONTENT
    assert cached(tmp_path) == [kept]
    assert archives.fetch(source) == path
    assert server.requested == [requested]
    assert news == sorted(news)
    assert len(news) > 1
    assert news[-1] == (1.0, pytest.approx(len(CONTENT) / 1e6))


def test_whether_an_entry_is_kept_is_known_without_asking_for_it(server):
    assert not archives.is_kept("emdb:3400")
    assert server.requested == []
    archives.fetch("emdb:3400")
    assert archives.is_kept("EMDB:EMD-3400")
    assert not archives.is_kept("pdb:3400")
    with pytest.raises(InputError, match="wanted an id such as emdb:3400"):
        archives.is_kept("emdb:../3400")


def test_published_addresses():
    emdb, pdb = archives.ARCHIVES["emdb"], archives.ARCHIVES["pdb"]
    assert (
        f"{emdb.base_url}/{emdb.file.format(entry='3400')}"
        == "https://files.wwpdb.org/pub/emdb/structures/EMD-3400/map/emd_3400.map.gz"
    )
    assert f"{pdb.base_url}/{pdb.file.format(entry='5J0N')}" == "https://files.rcsb.org/download/5J0N.cif.gz"


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("POSELAB_CACHE", str(tmp_path / "own"))
    assert archives.cache_folder() == tmp_path / "own"
    monkeypatch.delenv("POSELAB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert archives.cache_folder() == tmp_path / "poselab"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert archives.cache_folder() == tmp_path / ".cache" / "poselab"


@pytest.mark.parametrize("trouble", ["503", "500", "429", "cut", "cut, unannounced", "page"])
def test_passing_trouble_is_retried(server, tmp_path, trouble):
    server.answers = [trouble, trouble, "whole"]
    assert archives.fetch("emdb:3400").read_bytes() == CONTENT
    assert len(server.requested) == 3
    assert cached(tmp_path) == ["emd_3400.map.gz"]


@pytest.mark.parametrize("answer", ["whole, unannounced", "encoded"])
def test_what_is_kept_is_the_archives_own_file(server, answer):
    server.answers = [answer]
    assert archives.fetch("emdb:3400").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("503", "the server answers 503"),
        ("cut", "the connection broke off"),
        ("cut, unannounced", "what came is no whole gzip file"),
        ("page", "what came is no whole gzip file"),
    ],
)
def test_lasting_trouble_is_said_and_leaves_nothing(server, tmp_path, trouble, reason):
    server.answers = [trouble]
    with pytest.raises(
        InputError, match=rf"emdb:3400: cannot download http.*\({reason}, 4 attempts\); check"
    ) as caught:
        archives.fetch("emdb:3400")
    assert "\n" not in str(caught.value)
    assert len(server.requested) == 4
    assert cached(tmp_path) == []
    server.answers = ["whole"]
    assert archives.fetch("emdb:3400").read_bytes() == CONTENT


def test_no_answer(server, monkeypatch):
    monkeypatch.setattr(archives, "TIMEOUT_S", 0.05)
    monkeypatch.setattr(archives, "ATTEMPTS", 2)
    server.answers = ["hang"]
    with pytest.raises(InputError, match=r"pdb:5j0n: cannot download .*\(no answer within 0\.05 s, 2 attempts\)"):
        archives.fetch("pdb:5j0n")


def test_no_connection(server, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("POSELAB_PDB_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(
            InputError, match=r"pdb:5j0n: cannot download .*\(no connection, 4 attempts\); check the net"
        ):
            archives.fetch("pdb:5j0n")


def test_waits_grow(server, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    monkeypatch.setattr(archives, "FIRST_WAIT_S", 1.0)
    server.answers = ["503"]
    with pytest.raises(InputError, match="503"):
        archives.fetch("emdb:3400")
    assert waits == [1.0, 2.0, 4.0]


def test_entry_that_is_not_there_is_asked_for_once(server, tmp_path):
    server.answers = ["404"]
    with pytest.raises(InputError, match=r"pdb:9zzz: no such entry at http://.*/pdb/9ZZZ\.cif\.gz; check the id"):
        archives.fetch("pdb:9zzz")
    assert len(server.requested) == 1
    assert cached(tmp_path) == []


@pytest.mark.parametrize(
    "source",
    [
        "emdb:", "emdb:12", "emdb:123456", "emdb:../3400", "emdb:3400/../1", "emdb:34\n00", "emdb:٣٤٠٠", "emdb:5j0n",
        "pdb:", "pdb:5j0", "pdb:5j0nx", "pdb:pdb_5j0n", "pdb:pdb_00005j0n1", "pdb:pdb_0000../x",
        "pdb:emd-5j0n", "pdb:a5j0", "pdb:../x", "pdb:5j%2", "pdb:5j0n?x=1",
    ],
)  # fmt: skip
def test_nothing_but_an_id_reaches_an_address_or_a_path(server, tmp_path, source):
    with pytest.raises(InputError, match=r"source is .*; wanted an id such as (emdb:3400|pdb:5j0n)"):
        archives.fetch(source)
    assert server.requested == []
    assert not (tmp_path / "cache").exists()


def test_cache_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("POSELAB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(
        InputError, match=r"pdb:5j0n: cannot keep it in .*file/cache \(Not a directory\); set POSELAB_CACHE"
    ):
        archives.fetch("pdb:5j0n")
    assert server.requested == []


def test_full_disk(server, tmp_path):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(InputError, match=r"emdb:3400: cannot keep it in .*cache \(File too large\)"):
            archives.fetch("emdb:3400")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert cached(tmp_path) == []


def test_interrupted_download_leaves_nothing(server, tmp_path):
    def interrupt(fraction, values):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archives.fetch("emdb:3400", interrupt)
    assert cached(tmp_path) == []
