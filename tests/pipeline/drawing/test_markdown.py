"""Text of users in Markdown remains text, by a CommonMark parser with tables."""

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.drawing.markdown import code, code_block, code_cell, plain
from pipeline.drawing.terminal import cell, visible

PARSER = MarkdownIt("commonmark").enable("table")
MARKUP = st.text(st.sampled_from("<>&[]()`*_#|\\!~$@:/-+=1.w \n\ta\x1b\u202e"), max_size=20)
ANY = st.text(max_size=20) | MARKUP


def inline(markdown):
    """Return the types and the content of the tokens in the only paragraph of a text."""
    (paragraph,) = [token for token in PARSER.parse(markdown) if token.type == "inline"]
    return [(token.type, token.content) for token in paragraph.children]


@given(ANY)
@example("![x](y)")
@example("1. a")
@example("<http://a.b>")
def test_plain_text_is_one_piece_of_text(text):
    if cell(text).strip():
        found = inline(f"x {plain(text)} x")
        assert {kind for kind, _ in found} <= {"text", "text_special"}
        assert "".join(content for _, content in found).split() == f"x {cell(text)} x".split()
        assert [token.type for token in PARSER.parse(plain(text))] == ["paragraph_open", "inline", "paragraph_close"]


@given(ANY)
def test_a_code_span_has_the_text(text):
    if cell(text).strip():
        (kind, content), = inline(code(text))
        assert kind == "code_inline"
        assert content.strip() == cell(text).strip()


@given(ANY)
@example("a|b")
def test_a_cell_has_the_text(text):
    if cell(text).strip() and "\\" not in text:  # a backslash before a bar cannot be written in a code span of a table
        tokens = PARSER.parse(f"| a | b |\n|---|---|\n| {code_cell(text)} | x |\n")
        cells = [token.content for token in tokens if token.type == "inline"]
        assert len(cells) == 4
        (kind, content), = inline(cells[2])
        assert (kind, content.strip()) == ("code_inline", cell(text).strip())


@given(ANY)
@example("```\n# x")
def test_a_block_has_the_text(text):
    (token,) = PARSER.parse(code_block(text, "bash"))
    assert (token.type, token.info) == ("fence", "bash")
    assert token.content == visible(text).replace("\r", "\\r") + "\n"


def test_nothing_is_empty():
    assert (code(""), code("  "), plain("")) == ("(empty)", "(blank)", "")
