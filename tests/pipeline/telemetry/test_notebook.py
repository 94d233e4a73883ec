"""Progress bars in notebooks, with a fake module in place of IPython's display."""

import sys
import types

import pytest

from pipeline.telemetry import notebook
from pipeline.telemetry.progress import bars, given_or_notebook, shown


class Display:
    """Records what a kernel would send to the browser."""

    def __init__(self):
        self.sent = []
        self.module = types.ModuleType("IPython.display")
        self.module.HTML, self.module.display = str, self.show

    def show(self, html, display_id):
        assert display_id is True
        self.sent.append(html)
        return types.SimpleNamespace(update=self.sent.append)


@pytest.fixture
def display(monkeypatch):
    made, ipython = Display(), types.ModuleType("IPython")
    ipython.get_ipython, ipython.version_info = (lambda: types.SimpleNamespace(kernel=object())), (9, 0)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", made.module)
    monkeypatch.setattr(notebook, "SECONDS_BETWEEN", 0.0)
    return made


def test_each_activity_has_a_bar_and_they_disappear(display):
    with bars() as progress:
        assert display.sent == []
        progress("reading <b>", 0.5)
        progress("training", 0.25)
        progress("training", 1.0)
    first, _, last, cleared = display.sent
    assert 'value="0.5000"' in first and "reading &lt;b&gt;" in first and "<b>" not in first
    assert last.count("<progress") == 2 and "100%" in last
    assert cleared == ""


def test_updates_are_few(display, monkeypatch):
    monkeypatch.setattr(notebook, "SECONDS_BETWEEN", 3600.0)
    with bars() as progress:
        for step in range(1000):
            progress("training", step / 1000)
        progress("training", 1.0)
    assert len(display.sent) == 3  # the first, the completed one, and the empty one


def test_bars_disappear_after_an_error(display):
    with pytest.raises(KeyError), bars() as progress:
        progress("training", 0.5)
        raise KeyError
    assert display.sent[-1] == ""


def test_functions_show_bars_in_a_notebook_by_default(display):
    with given_or_notebook(None) as progress:
        progress("training", 0.5)
    assert len(display.sent) == 2
    calls = []
    with given_or_notebook(lambda *call: calls.append(call)) as progress:
        progress("training", 0.5)
    assert calls == [("training", 0.5)] and len(display.sent) == 2
    with bars(quiet=True) as progress, shown(False) as other:
        progress("training", 0.5)
        other("training", 0.5)
    assert len(display.sent) == 2


@pytest.mark.parametrize("shell", [None, types.SimpleNamespace(), types.SimpleNamespace(kernel=None)])
def test_a_terminal_is_not_a_notebook(shell, monkeypatch):
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert not notebook.in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not notebook.in_notebook()


def test_a_run_shows_bars_in_a_notebook(display, tmp_path):
    import vecformer

    config = vecformer.RunConfig.from_mapping({
        "data": {"path": "data/support"}, "source": "random,dim=8", "recipe": "plain", "baselines": "none",
        "training": {"epochs": 1}, "model": {"d_model": 8, "n_layers": 1, "n_heads": 1, "d_ff": 8}})
    finished = vecformer.run(config, tmp_path / "<run>")
    assert any("training" in html for html in display.sent) and display.sent[-1] == ""
    html = finished._repr_html_()
    assert "run &lt;run&gt;" in html and "n = 24" in html and "accuracy" in html
    assert repr(finished).startswith("Finished(path=") and len(repr(finished)) < 200
    trained = vecformer.load_run(finished.path)
    assert "billing, delivery, product" in trained._repr_html_()
    assert repr(trained).startswith("TrainedRun(task='classification', source='random', labels=")
    assert len(repr(trained)) < 250
