"""The notebook runs from its first cell to its last on a fresh stack."""

import ast
import json
import os

import pytest

from homeport.stack import Stack
from tests.conftest import ROOT, free_port

NOTEBOOK = ROOT / "docs" / "pipelines.ipynb"
SECONDS = 600  # for a cell: a search of six trials, and two services that start


def test_it_is_kept_without_what_it_gave():
    content = json.loads(NOTEBOOK.read_bytes())
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    names = [cell["id"] for cell in content["cells"]]
    assert len(names) == len(set(names))
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            ast.parse("".join(cell["source"]))
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@pytest.mark.e2e
@pytest.mark.filterwarnings("default")  # those of Jupyter's own packages are not ours
def test_it_runs(tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    settings = {
        "HOMEPORT_STATE": tmp_path / "state",
        "HOMEPORT_MODELS": tmp_path / "models",
        "HOMEPORT_PIPELINE_PORT": free_port(),
        "HOMEPORT_PREFECT_PORT": free_port(),
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))
    client = NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(ROOT / "docs")}}
    )
    try:
        client.execute()
    finally:
        Stack(tmp_path / "state", tmp_path / "models").stop()
    shown = {cell["id"]: json.dumps(cell.get("outputs", [])) for cell in notebook.cells}
    assert "Promoted: version 1 is the champion." in shown["watch"]
    assert "Completed" in shown["wait"]
    assert "evaluate" in shown["metrics"]
    assert "truth" in shown["model"]
    assert "409" in shown["disable"]
