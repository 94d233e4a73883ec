import tomllib

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import RunConfig, commented_toml, keys, parse_assignment, resolve
from pipeline.errors import ConfigError


def test_defaults_survive_toml(tmp_path):
    config = RunConfig.from_mapping({"data": {"labels": ["b", "a"]}, "corpus": ["x.txt"], "model": {"dropout": 0.25}})
    config.save(tmp_path / "config.toml")
    assert RunConfig.load(tmp_path / "config.toml") == config


def test_the_commented_file_is_the_defaults_and_explains_each_key():
    text = commented_toml()
    assert RunConfig.from_mapping(tomllib.loads(text)) == RunConfig()
    lines = text.splitlines()
    for key, _ in keys():
        name = key.rpartition(".")[2]
        row = next(i for i, line in enumerate(lines) if line.startswith(f"{name} = "))
        assert lines[row - 1].startswith("# "), key


def test_options_beat_the_file(tmp_path):
    (tmp_path / "c.toml").write_text('seed = 5\nsource = "random"\n[training]\nepochs = 7\nlr = 0.5\n')
    config = resolve(tmp_path / "c.toml", [("training.epochs", 2), ("seed", 9), ("seed", 10)])
    assert (config.seed, config.source, config.training.epochs, config.training.lr) == (10, "random", 2, 0.5)
    assert config.training.batch_size == RunConfig().training.batch_size


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("model.dmodel", "model.d_model"), ("modle.d_model", "model.d_model"), ("data.pth", "data.path"),
     ("training.epoch", "training.epochs"), ("n_layers", "model.n_layers"), ("sed", "seed")],
)
def test_a_wrong_key_is_refused_with_the_nearest(tmp_path, wrong, right):
    with pytest.raises(ConfigError, match=f"no key '{wrong}'. Did you mean '{right}'"):
        resolve(None, [(wrong, 1)])
    section, _, name = wrong.rpartition(".")
    (tmp_path / "c.toml").write_text(f"[{section}]\n{name} = 1\n" if section else f"{name} = 1\n")
    with pytest.raises(ConfigError, match=rf"c\.toml: there is no key '{wrong}'. Did you mean '{right}'"):
        RunConfig.load(tmp_path / "c.toml")


def test_an_empty_section_must_be_one_that_exists():
    assert RunConfig.from_mapping({"model": {}}) == RunConfig()
    with pytest.raises(ConfigError, match="no key 'modle'"):
        RunConfig.from_mapping({"modle": {}})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seed": "x"}, "seed = 'x'"), ({"seed": -1}, "seed must be"),
        ({"training": {"epochs": 1.5}}, "training.epochs"),
        ({"data": {"test_share": 1.0}}, "data.test_share"), ({"data": {"max_length": 0}}, "data.max_length"),
        ({"data": {"labels": "abc"}}, "data.labels"), ({"model": 3}, "no key 'model'"),
        ({"data": {"limit_train": -1}}, "data.limit_train"), ({"data": {"dev_share": 1}}, "data.dev_share"),
        ({"data": {"min_count": 0}}, "data.min_count"), ({"data": {"unseen_words": -1}}, "data.unseen_words"),
    ],
)
def test_wrong_values_are_refused_by_name(values, message):
    with pytest.raises(ConfigError, match=message):
        RunConfig.from_mapping(values)


def test_a_file_that_is_no_toml_names_its_line(tmp_path):
    (tmp_path / "c.toml").write_text("seed = 1\nsource = \n")
    with pytest.raises(ConfigError, match=r"c\.toml: cannot read.*line 2"):
        RunConfig.load(tmp_path / "c.toml")


VALUES = st.one_of(st.integers(-(2**40), 2**40), st.booleans(), st.floats(allow_nan=False), st.text(),
                   st.lists(st.text(), max_size=3))


@given(VALUES)
def test_a_toml_value_is_read_as_it_is(value):
    written = tomli_w.dumps({"x": value}).removeprefix("x = ").strip()
    assert parse_assignment(f"model.d_model={written}") == ("model.d_model", value)


WORDS = st.from_regex(r"[A-Za-z/][\w/+:,.-]*", fullmatch=True)


@given(WORDS.filter(lambda word: word not in ("true", "false", "inf", "nan")))
def test_what_is_no_toml_is_a_string(text):
    assert parse_assignment(f"source={text}") == ("source", text)


@given(st.text())
def test_any_text_is_an_assignment_or_one_message(text):
    try:
        key, _ = parse_assignment(text)
    except ConfigError as error:
        assert "key.path=value" in str(error)
    else:
        assert key == text.partition("=")[0].strip()
