"""`export --push` uploads every file to a hub, which stands here on this machine."""

import base64
import hashlib
import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import HfApi

from pipeline.config import override
from pipeline.errors import ConfigError
from tests.command_line import call
from tests.tiny_cache import tiny_cache, tiny_meta
from trainer.export.push import push_model
from trainer.presets import smoke
from trainer.run_directory import load_info
from trainer.training import train

pytestmark = [
    pytest.mark.usefixtures("one_tiny_encoder"),
    pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning"),  # of huggingface_hub's own upload
]
NAME = "kim/ous-demo"


class Hub:
    """State of a hub: its repositories, and the files that it has been given."""

    def __init__(self):
        self.private, self.files, self.objects, self.tokens = {}, {}, {}, set()
        self.is_open = True


class Handler(BaseHTTPRequestHandler):
    """The few addresses of a hub that an upload uses."""

    def log_message(self, *_):
        pass

    def answer(self, values, status=200):
        content = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        if "/tree/" in self.path:
            files = self.server.hub.files.items()
            return self.answer(
                [
                    {"type": "file", "path": name, "size": len(content), "oid": "0" * 40}
                    for name, content in files
                ]
            )
        name = self.path.removeprefix("/api/models/").split("/revision/")[0].split("?")[0]
        if name not in self.server.hub.private:
            return self.answer({"error": "no such repository"}, 404)
        values = {"id": name, "private": self.server.hub.private[name], "sha": "0" * 40}
        values["siblings"] = [{"rfilename": name} for name in self.server.hub.files]
        return self.answer(values)

    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.hub.objects[self.path.removeprefix("/objects/")] = content
        self.answer({})

    def do_POST(self):
        hub, body = self.server.hub, self.rfile.read(int(self.headers["Content-Length"]))
        hub.tokens.add(self.headers.get("Authorization"))
        if not hub.is_open:
            return self.answer({"error": "You don't have the rights"}, 403)
        if self.path == "/api/repos/create":
            values = json.loads(body)
            name = f"{values.get('organization') or 'kim'}/{values['name']}"
            if name in hub.private:
                return self.answer({"url": f"{self.base}/{name}", "error": "exists"}, 409)
            hub.private[name] = (
                values.get("visibility", "private" if values.get("private") else "public") == "private"
            )
            return self.answer({"url": f"{self.base}/{name}", "id": name, "name": name})
        if self.path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if "/preupload/" in self.path:
            files = json.loads(body)["files"]
            large = [one["path"] for one in files if one["path"].endswith(".safetensors")]
            return self.answer(
                {"files": [
                    {"path": one["path"], "uploadMode": "lfs" if one["path"] in large else "regular",
                     "shouldIgnore": False} for one in files
                ]}
            )  # fmt: skip
        if self.path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.base}/objects/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            return self.answer({"transfer": "basic", "objects": objects})
        if "/commit/" in self.path:
            for line in body.splitlines():
                part = json.loads(line)
                if part["key"] == "file":
                    hub.files[part["value"]["path"]] = base64.b64decode(part["value"]["content"])
                elif part["key"] == "deletedFile":
                    del hub.files[part["value"]["path"]]
                elif part["key"] == "lfsFile":
                    hub.files[part["value"]["path"]] = hub.objects[part["value"]["oid"]]
            name = self.path.removeprefix("/api/models/").split("/commit/")[0]
            return self.answer({"commitUrl": f"{self.base}/{name}/commit/{'0' * 40}", "commitOid": "0" * 40})
        return self.answer({"error": f"{self.path} is not an address of this hub"}, 404)

    @property
    def base(self):
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def hub(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.hub = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(
        "huggingface_hub.HfApi", lambda **options: HfApi(endpoint=address, token="hf_x", **options)
    )
    yield server.hub
    server.shutdown()
    server.server_close()


def trained(folder, dataset="tiny"):
    cache = tiny_cache(folder / "feats.zarr", tiny_meta(dataset=dataset))
    train(cache, folder / "run", override(smoke(), ["schedule.max_epochs=1"]), device="cpu")
    return folder / "run"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("run"))


def pushed(run, folder, monkeypatch, capsys):
    return call(monkeypatch, capsys, "export", run, "--out", folder / "model", "--push", NAME)


def test_all_files_arrive_in_a_private_repository(run, hub, tmp_path, monkeypatch, capsys):
    code, shown, errors = call(
        monkeypatch, capsys, "export", run, "--out", tmp_path / "model", "--push", NAME
    )
    assert code == 0, errors
    assert hub.files == {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    assert "model.safetensors" in hub.files
    assert hashlib.sha256(hub.files["model.safetensors"]).hexdigest() in hub.objects
    assert hub.private == {NAME: True}
    assert hub.tokens == {"Bearer hf_x"}
    assert f"uploaded to {NAME} (private): http" in shown


def test_a_second_export_replaces_the_files_of_the_first(run, hub, tmp_path, monkeypatch, capsys):
    hub.private[NAME], hub.files["head.onnx"], hub.files["notes.md"] = True, b"old", b"of the owner"
    assert pushed(run, tmp_path, monkeypatch, capsys)[0] == 0
    assert "head.onnx" not in hub.files
    assert hub.files["notes.md"] == b"of the owner"


@pytest.mark.parametrize("option", ["--public", "--i-hold-the-rights"])
def test_options_of_an_upload_need_one(run, tmp_path, monkeypatch, capsys, option):
    code, _, shown = call(monkeypatch, capsys, "export", run, "--out", tmp_path / "model", option)
    assert code == 2
    assert f"{option} is for --push, which is not given" in shown
    assert not (tmp_path / "model").exists()


def test_from_python_licensed_weights_are_not_uploaded_either(run, hub, tmp_path):
    info = replace(load_info(run), dataset="MAFW")
    with pytest.raises(ConfigError, match="trained on MAFW"):
        push_model(run, NAME, info)
    assert hub.private == {}


def test_a_repository_that_is_there_keeps_its_visibility_which_is_shown(
    run, hub, tmp_path, monkeypatch, capsys
):
    hub.private[NAME] = False
    code, shown, errors = call(
        monkeypatch, capsys, "export", run, "--out", tmp_path / "model", "--push", NAME
    )
    assert code == 0, errors
    assert f"uploaded to {NAME} (PUBLIC)" in shown


def test_a_new_repository_is_public_on_request(run, hub, tmp_path, monkeypatch, capsys):
    words = ("export", run, "--out", tmp_path / "model", "--push", NAME, "--public", "--json")
    code, shown, errors = call(monkeypatch, capsys, *words)
    assert code == 0, errors
    assert hub.private == {NAME: False}
    assert json.loads(shown)["pushed"] == {
        "name": NAME, "url": json.loads(shown)["pushed"]["url"], "is_private": False,
    }  # fmt: skip


def test_a_refusal_of_the_hub_is_one_line_and_the_model_stays(run, hub, tmp_path, monkeypatch, capsys):
    hub.is_open = False
    code, _, shown = call(monkeypatch, capsys, "export", run, "--out", tmp_path / "model", "--push", NAME)
    assert code == 1
    (line,) = [one for one in shown.splitlines() if one.startswith("error")]
    assert f"--push '{NAME}' to http" in line
    assert "hf auth login" in line
    assert (tmp_path / "model" / "model.safetensors").is_file()
    assert hub.files == {}


@pytest.mark.parametrize("name", ["kim", "kim/a/b", "kim/a b", "kim/..", "https://hub/kim/a", ""])
def test_another_name_is_rejected_before_anything_is_written(run, hub, tmp_path, monkeypatch, capsys, name):
    code, _, shown = call(monkeypatch, capsys, "export", run, "--out", tmp_path / "model", "--push", name)
    assert code == 2
    assert "--push" in shown
    assert not (tmp_path / "model").exists()
    assert hub.private == {}


def test_weights_of_licensed_data_need_a_statement(hub, tmp_path, monkeypatch, capsys):
    run = trained(tmp_path, "dfew")
    words = ("export", run, "--out", tmp_path / "model", "--push", NAME)
    code, _, shown = call(monkeypatch, capsys, *words)
    assert code == 2
    assert "trained on DFEW, which is under a licence" in shown
    assert "--i-hold-the-rights" in shown
    assert not (tmp_path / "model").exists()
    assert hub.private == {}
    assert call(monkeypatch, capsys, *words, "--i-hold-the-rights")[0] == 0
    assert "model.safetensors" in hub.files
