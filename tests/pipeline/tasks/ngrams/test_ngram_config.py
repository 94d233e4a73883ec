import pytest

from pipeline import RunConfig
from pipeline.errors import ConfigError


def test_defaults():
    config = RunConfig().ngrams
    assert (config.enabled, config.words, config.characters, config.regularization, config.buckets) == (
        False, 2, (2, 5), 0.0, 0)


@pytest.mark.parametrize("values", [
    {"words": 0}, {"characters": [0, 3]}, {"characters": [4, 3]}, {"characters": [2]}, {"regularization": -1.0},
    {"buckets": 1000}, {"buckets": 1}, {"buckets": 2**25}, {"buckets": -2},
])
def test_values_that_are_not_allowed(values):
    with pytest.raises(ConfigError, match=f"ngrams.{next(iter(values))}"):
        RunConfig.from_mapping({"ngrams": values})


def test_the_section_is_read_from_toml(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text("[ngrams]\nenabled = true\ncharacters = [3, 4]\nbuckets = 32768\n")
    config = RunConfig.load(file)
    config.save(file)
    assert RunConfig.load(file) == config
    assert config.ngrams.characters == (3, 4)
