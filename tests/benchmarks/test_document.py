"""Every document of a benchmark is written between its markers, or not at all."""

import pytest

from benchmarks import report as serving
from benchmarks.automl import report as automl
from tests.benchmarks.test_automl_report import runs
from tests.benchmarks.test_load import results


@pytest.mark.parametrize(
    ("name", "write", "measured"), [("automl", automl.write, runs), ("serving", serving.write, results)]
)
def test_a_document_without_markers_is_left_alone(tmp_path, name, write, measured):
    document = tmp_path / f"{name}.md"
    document.write_text("by hand")
    with pytest.raises(ValueError, match="has no place"):
        write(measured(), tmp_path)
    assert document.read_text() == "by hand"
