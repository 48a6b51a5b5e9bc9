import hashlib
import http.server
import io
import socket
import threading
import zipfile
from contextlib import contextmanager

import pytest

from trainer import dataset
from trainer.dataset import DATASETS, Dataset, Sample, Source, read_dataset, resolve
from trainer.errors import DatasetError

CSV = b"x,y\n" + b"".join(b"%d,%s\n" % (number, b"yes" if number % 2 else b"no") for number in range(50))
SAMPLE = b"x,y\n1,no\n2,yes\n"


def sha(content):
    return hashlib.sha256(content).hexdigest()


@contextmanager
def web(files):
    """A local web server of these paths."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.command, self.path))
            content = files.get(self.path)
            self.send_response(200 if content is not None else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content or b"")

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sample.csv").write_bytes(SAMPLE)
    return tmp_path


def cached(folder, content=CSV, name="t.csv"):
    return folder / "cache" / f"{sha(content)[:12]}-{name}"


def described(*sources, digest=None):
    sample = Sample(title="the sample", file="sample.csv", sha256=digest or sha(SAMPLE))
    return Dataset(title="T", target="y", sources=sources, sample=sample)


def find(description, folder):
    lines = []
    found = resolve(description, folder, folder / "cache", lines.append, progress=False)
    return found, lines


def test_downloads_once_then_takes_the_cache(folder):
    with web({"/t.csv": CSV}) as (url, asked):
        description = described(Source("the table", f"{url}/t.csv", sha(CSV)))
        found, lines = find(description, folder)
        assert found.table.sha256 == sha(CSV)
        assert "downloaded" in lines[0]
        before = len(asked)
        found, lines = find(description, folder)
        assert len(asked) == before
        assert "t.csv" in lines[0]


def test_follows_members_through_nested_archives(folder):
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("data/t.csv", CSV)
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("inner.zip", inner.getvalue())
    with web({"/all.zip": outer.getvalue()}) as (url, _):
        source = Source("zipped", f"{url}/all.zip", sha(CSV), ("inner.zip", "data/t.csv"))
        found, _ = find(described(source), folder)
    assert found.table.sha256 == sha(CSV)
    assert list((folder / "cache").iterdir()) == [cached(folder)]


def test_a_file_with_another_digest_is_not_used(folder):
    with web({"/t.csv": CSV + b"1,no\n", "/u.csv": CSV}) as (url, _):
        wrong = Source("wrong", f"{url}/t.csv", sha(CSV))
        right = Source("right", f"{url}/u.csv", sha(CSV))
        found, _ = find(described(wrong, right), folder)
        assert found.table.source == "right"
    assert not cached(folder).exists()


def test_a_given_file_is_taken_as_it_is(folder):
    (folder / "own.csv").write_bytes(CSV)
    lines = []
    found = resolve(described(), folder, folder / "cache", lines.append, folder / "own.csv")
    assert found.table.sha256 == sha(CSV)
    assert "own.csv" in lines[0]


def test_a_damaged_cache_is_not_used(folder):
    (folder / "cache").mkdir()
    cached(folder).write_bytes(CSV[:-5])
    with web({"/t.csv": CSV}) as (url, _):
        found, lines = find(described(Source("the table", f"{url}/t.csv", sha(CSV))), folder)
    assert found.table.sha256 == sha(CSV)
    assert "downloaded" in lines[0]


def test_without_a_connection_the_sample_is_used_and_says_how_to_get_the_rest(folder):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        source = Source("the table", f"http://127.0.0.1:{closed.getsockname()[1]}/t.csv", sha(CSV))
        found, lines = find(described(source), folder)
    assert found.table.source == "the sample"
    assert source.url in lines[0]
    assert str(cached(folder)) in lines[0]
    assert "no answer within" in lines[0]


def test_a_host_that_never_answers_is_given_up(folder, monkeypatch):
    monkeypatch.setattr(dataset, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = Source("the table", f"http://127.0.0.1:{silent.getsockname()[1]}/t.csv", sha(CSV))
        found, _ = find(described(source), folder)
    assert found.table.source == "the sample"


def test_an_edited_sample_is_refused(folder):
    with pytest.raises(DatasetError, match="is not the sample"):
        find(described(digest="0" * 64), folder)


def test_without_a_sample_the_failures_are_listed(folder):
    with pytest.raises(DatasetError, match="no answer within"):
        find(Dataset(title="T", target="y", sources=(Source("s", "http://127.0.0.1:9/t.csv", "0"),)), folder)


@pytest.mark.parametrize("path", sorted(DATASETS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_data_set_file_is_valid_and_its_sample_whole(path, tmp_path):
    description = read_dataset(path)
    offline = Dataset(title=description.title, target=description.target, sample=description.sample)
    found = resolve(offline, path.parent, tmp_path, lambda _: None)
    assert description.target in found.table.frame.columns
    assert set(found.drop) <= set(found.table.frame.columns)
    for example in found.examples:
        assert set(example) <= set(found.table.frame.columns)


def test_a_wrong_data_set_file_is_refused(tmp_path):
    (tmp_path / "x.toml").write_text("title = 'T'\ntargett = 'y'\n")
    with pytest.raises(DatasetError, match="no data-set file"):
        read_dataset(tmp_path / "x.toml")
