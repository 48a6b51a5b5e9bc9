import ctypes

from bundle import compile as builder


def test_it_compiles_beside_its_source(monkeypatch, tmp_path):
    source = tmp_path / "forest.c"
    source.write_bytes(builder.SOURCE.read_bytes())
    monkeypatch.setattr(builder, "SOURCE", source)
    monkeypatch.setattr(builder, "LIBRARY", tmp_path / "libforest.so")
    assert builder.compile_kernel() is None
    assert ctypes.CDLL(str(tmp_path / "libforest.so")).homeport_score
    assert sorted(path.name for path in tmp_path.iterdir()) == ["forest.c", "libforest.so"]


def test_without_a_compiler_it_says_so_and_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(builder, "LIBRARY", tmp_path / "libforest.so")
    monkeypatch.setenv("CC", "no-such-compiler -m64")
    assert "no-such-compiler" in builder.compile_kernel()
    monkeypatch.setenv("CC", "false")
    assert builder.compile_kernel().startswith("false failed")
    assert list(tmp_path.iterdir()) == []
