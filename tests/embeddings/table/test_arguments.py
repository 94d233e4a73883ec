"""How messages name arguments."""

import threading

import pytest

from embeddings.table import arguments

pytestmark = pytest.mark.python_messages


@pytest.mark.parametrize(("name", "value", "python", "command_line"), [
    ("out", "", "out=", "--out"),
    ("label_column", "NAME", "label_column=NAME", "--label-column NAME"),
    ("task", "multi-label", 'task="multi-label"', "--task multi-label"),
    ("abstain", "0.05", "abstain=0.05", "--abstain 0.05"),
    ("label_separator", "; ", 'label_separator="; "', "--label-separator '; '"),
])
def test_arguments(name, value, python, command_line):
    assert arguments.argument(name, value) == python
    with arguments.for_command_line():
        assert arguments.argument(name, value) == command_line
    assert arguments.argument(name, value) == python


def test_settings_and_flags():
    assert arguments.setting('data.labels=["a", "b"]') == 'data.labels=["a", "b"]'
    assert arguments.flag("trust_pickle") == "trust_pickle=True"
    with arguments.for_command_line():
        assert arguments.setting('data.labels=["a", "b"]') == """--set 'data.labels=["a", "b"]'"""
        assert arguments.setting("model.n_layers=4") == "--set model.n_layers=4"
        assert arguments.flag("trust_pickle") == "--trust-pickle"
        assert arguments.either("A", "B") == "A"


def test_the_end_of_a_block_restores_what_was_before():
    with arguments.for_command_line():
        with arguments.for_command_line(False):
            assert not arguments.is_for_command_line()
        assert arguments.is_for_command_line()
        seen = []
        thread = threading.Thread(target=lambda: seen.append(arguments.flag("overwrite")))
        thread.start()
        thread.join()
        assert seen == ["--overwrite"]
    with pytest.raises(KeyError), arguments.for_command_line():
        raise KeyError
    assert not arguments.is_for_command_line()
