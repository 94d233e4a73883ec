import datetime
import tomllib
from itertools import pairwise

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands.config import commented_toml
from pipeline.config import RunConfig, keys, parse_assignment, resolve
from pipeline.errors import ConfigError, PipelineError

KEYS = dict(keys())


def nested(key, value):
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("configurations")


def test_defaults_survive_toml(tmp_path):
    RunConfig().save(tmp_path / "config.toml")
    assert RunConfig.load(tmp_path / "config.toml") == RunConfig()


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(path=TEXT.filter(lambda text: "\0" not in text), labels=st.lists(TEXT, max_size=3),
       seed=st.integers(0, 2**32 - 1), lr=st.floats(0, 1, exclude_min=True), lowercase=st.booleans())
def test_any_configuration_survives_toml(folder, path, labels, seed, lr, lowercase):
    data = {"path": path, "labels": labels, "lowercase": lowercase}
    config = RunConfig.from_mapping({"data": data, "seed": seed, "training": {"lr": lr}})
    assert (config.data.path, config.data.labels, config.training.lr) == (path, tuple(labels), lr)
    config.save(folder / "config.toml")
    assert RunConfig.load(folder / "config.toml") == config


def test_the_commented_file_is_the_defaults_and_explains_each_key():
    text = commented_toml()
    assert RunConfig.from_mapping(tomllib.loads(text)) == RunConfig()
    lines, section, explained = text.splitlines(), "", []
    for above, line in pairwise(lines):
        if line.startswith("["):
            section = line.strip("[]") + "."
        elif line and not line.startswith("#"):
            assert above.startswith("# "), line
            explained.append(section + line.partition(" = ")[0])
    assert explained == list(KEYS)


def test_options_take_precedence_over_the_file(tmp_path):
    (tmp_path / "c.toml").write_text('seed = 5\nsource = "random"\n[training]\nepochs = 7\nlr = 0.5\n')
    config = resolve(tmp_path / "c.toml", [("training.epochs", 2), ("seed", 9), ("seed", 10)])
    assert (config.seed, config.source, config.training.epochs, config.training.lr) == (10, "random", 2, 0.5)
    assert config.training.batch_size == RunConfig().training.batch_size


@pytest.mark.parametrize("key", KEYS)
def test_every_key_can_be_set_and_has_its_type_checked(key):
    assert resolve(None, [(key, KEYS[key].default)]) == RunConfig()
    with pytest.raises(ConfigError, match=rf"the options: {key}(\.0)? = "):
        resolve(None, [(key, [[]])])


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("model.dmodel", "model.d_model"), ("modle.d_model", "model.d_model"), ("data.pth", "data.path"),
     ("training.epoch", "training.epochs"), ("training.learning_rate", "training.lr"), ("n_layer", "model.n_layers"),
     ("n_layers", "model.n_layers"), ("embeddings.scale", "embedding.scale"), ("sed", "seed")],
)
def test_an_unknown_key_is_refused_with_the_nearest(tmp_path, wrong, right):
    with pytest.raises(ConfigError, match=f"no key '{wrong}'. Did you mean '{right}'"):
        resolve(None, [(wrong, 1)])
    (tmp_path / "c.toml").write_text(tomli_w.dumps(nested(wrong, 1)))
    with pytest.raises(ConfigError, match=rf"c\.toml: there is no key '{wrong}'. Did you mean '{right}'"):
        RunConfig.load(tmp_path / "c.toml")


def test_an_architecture_fixes_all_its_values_but_epsilon():
    model = RunConfig.from_mapping({"model": {"like": "bert", "norm_eps": 1e-5, "positions": "learned"}}).model
    assert (model.norm, model.norm_eps) == ("post", 1e-5)
    assert RunConfig.from_mapping({"model": {"like": "bert"}}).model.norm_eps == 1e-12
    for key, value in (("norm", "pre"), ("d_embedding", 64)):
        with pytest.raises(ConfigError, match=rf"model\.like=bert needs model\.{key}=.*, not {value}"):
            RunConfig.from_mapping({"model": {"like": "bert", key: value}})


def test_sinusoidal_positions_have_the_width_of_the_embeddings():
    with pytest.raises(ConfigError, match=r"d_embedding or model\.d_model must be even for .*, not 7"):
        RunConfig.from_mapping({"model": {"d_embedding": 7}})
    assert RunConfig.from_mapping({"model": {"d_embedding": 7, "positions": "learned"}}).model.embedding_width == 7
    assert RunConfig().model.embedding_width == RunConfig().model.d_model


def test_a_key_without_similar_ones_refers_to_the_list():
    with pytest.raises(ConfigError, match=r"no key 'zzz'\. `vecformer config` lists all keys"):
        resolve(None, [("zzz", 1)])


def test_an_empty_section_must_be_one_that_exists():
    assert RunConfig.from_mapping({"model": {}}) == RunConfig()
    with pytest.raises(ConfigError, match="no key 'modle'"):
        RunConfig.from_mapping({"modle": {}})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", -1), ("seed", 2**32),
        ("data.max_length", 0), ("data.limit_train", -1), ("data.test_share", 0.0), ("data.test_share", 1.0),
        ("data.dev_share", -0.1), ("data.dev_share", 1.0), ("data.min_count", 0), ("data.unseen_words", -1),
        ("embedding.scale", "big"), ("embedding.scale", "match="), ("embedding.scale", "match=0"),
        ("model.d_model", 0), ("model.n_layers", 0), ("model.n_heads", 0), ("model.d_ff", -3), ("model.d_model", 6),
        ("model.dropout", 1.0), ("model.dropout", float("nan")), ("model.token_types", -1), ("model.d_embedding", -1),
        ("training.epochs", -1), ("training.batch_size", 0), ("training.lr", 0.0), ("training.lr", float("nan")),
        ("training.weight_decay", -1.0), ("training.warmup", 1.1), ("training.clip", 0.0), ("training.patience", -1),
        ("training.device", "tpu"),
    ],
)
def test_values_out_of_range_are_refused_by_name(key, value):
    with pytest.raises(ConfigError, match=rf"^c\.toml: {key}( must be|=)"):
        RunConfig.from_mapping(nested(key, value), where="c.toml")


@pytest.mark.parametrize(
    ("key", "value"),
    [("seed", 2**32 - 1), ("data.dev_share", 0.0), ("model.dropout", 0.0), ("training.warmup", 1.0),
     ("training.patience", 0), ("training.device", "cuda:1"), ("embedding.scale", "match=.5")],
)
def test_the_ends_of_ranges_are_allowed(key, value):
    section, _, name = key.rpartition(".")
    saved = tomllib.loads(RunConfig.from_mapping(nested(key, value)).to_toml())
    assert (saved[section] if section else saved)[name] == value


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seed": "x"}, "seed = 'x': "), ({"seed": {}}, "seed = {}: "),
        ({"training": {"epochs": 1.5}}, "epochs = 1.5: "),
        ({"data": {"path": 3}}, "data.path = 3: "), ({"data": {"labels": "abc"}}, "data.labels = 'abc': "),
        ({"data": {"labels": ["a", 2]}}, r"data\.labels\.1 = 2: "), ({"data": {"lowercase": "maybe"}}, "lowercase = "),
        ({"model": 3}, "no key 'model'"),
    ],
)
def test_values_of_a_wrong_type_are_refused_by_name(values, message):
    with pytest.raises(ConfigError, match=message):
        RunConfig.from_mapping(values)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"seed = 1\nsource = \n", r"c\.toml: cannot read.*line 2"), (b"\xff", r"c\.toml: cannot read.*UTF-8")],
)
def test_a_file_that_is_not_toml_is_named(tmp_path, content, message):
    (tmp_path / "c.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        RunConfig.load(tmp_path / "c.toml")


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: cannot read"):
        resolve(tmp_path / "none.toml", [])


VALUES = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.booleans(), st.floats(allow_nan=False), st.text(), st.dates(), st.times(),
    st.datetimes(timezones=st.just(datetime.UTC)), st.lists(st.text(), max_size=3),
)


@given(VALUES)
def test_a_toml_value_keeps_its_type(value):
    written = tomli_w.dumps({"x": value}).removeprefix("x = ").strip()
    key, read = parse_assignment(f"model.d_model={written}")
    assert (key, read, type(read)) == ("model.d_model", value, type(value))


WORDS = st.from_regex(r"[A-Za-z/][\w/+:,.=-]*", fullmatch=True)


@given(WORDS.filter(lambda word: word not in ("true", "false", "inf", "nan")))
def test_other_values_are_strings(text):
    assert parse_assignment(f" source = {text} ") == ("source", text)


NO_TOML = ["", "glove:my file.txt,limit=3", '"open', "[1, 2", "1\nseed = 3", "2024-13-45", "01"]


@pytest.mark.parametrize("value", NO_TOML)
def test_almost_toml_is_a_string(value):
    assert parse_assignment(f"data.path={value}") == ("data.path", value)


@given(st.text())
def test_any_text_is_an_assignment_or_one_message(text):
    try:
        key, _ = parse_assignment(text)
    except ConfigError as error:
        assert "key.path=value" in str(error)
    else:
        assert key == text.partition("=")[0].strip()


@pytest.mark.parametrize("text", ["model.n_layers", "=4", " = 4", ""])
def test_an_assignment_needs_a_key_and_a_sign(text):
    with pytest.raises(ConfigError, match=r"write it as key\.path=value"):
        parse_assignment(text)


def test_a_file_that_cannot_be_read_is_no_wrong_configuration(tmp_path):
    with pytest.raises(PipelineError, match="cannot read the configuration: Is a directory") as error:
        RunConfig.load(tmp_path)
    assert not isinstance(error.value, ConfigError)
