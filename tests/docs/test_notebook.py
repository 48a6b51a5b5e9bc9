"""The notebook runs from its first cell to its last, and shows what it says."""

import json
import os
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from homeport.stack import Stack
from tests.conftest import ROOT, free_port

pytestmark = pytest.mark.e2e


def test_the_walk_through_pipelines_works(tmp_path, monkeypatch):
    environment = {
        "HOMEPORT_STATE": tmp_path / ".homeport", "HOMEPORT_MODELS": tmp_path / "models",
        "HOMEPORT_PIPELINE_PORT": free_port(), "HOMEPORT_PREFECT_PORT": free_port(),
        "JUPYTER_DATA_DIR": tmp_path / "jupyter", "JUPYTER_RUNTIME_DIR": tmp_path / "runtime",
        "JUPYTER_CONFIG_DIR": tmp_path / "config", "IPYTHONDIR": tmp_path / "ipython",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))))
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "Python 3"}))
    notebook = nbformat.read(ROOT / "docs" / "pipelines.ipynb", as_version=4)
    try:
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    finally:
        Stack(tmp_path / ".homeport", tmp_path / "models").stop()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pages = [output["data"].get("text/html", "") for output in shown if "data" in output]
    assert sum("✓" in page for page in pages) == 2, "both runs, as tables"
    assert any("↺" in page for page in pages)
    assert any("image/png" in output["data"] for output in shown if "data" in output)
    assert shown[-1]["data"]["text/plain"] == "'DISABLED'"
