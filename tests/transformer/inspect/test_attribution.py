"""Integrated gradients: equal to captum's, complete, exact where they are known, and with plain PyTorch only."""

import pytest
import torch
from captum.attr import IntegratedGradients, LayerIntegratedGradients
from small_models import OPTIONS, classifier, needs_code, perturbed, tagger

from transformer.inspect.attribution import STEPS, attribute, embedded_as, gauss_legendre
from transformer.kernels.engine import use
from transformer.models.heads import ClsHead, PairHead

IDS = torch.tensor([[2, 7, 12, 30, 9, 21, 7, 3]])
BASELINE = torch.tensor([[2, 1, 1, 1, 1, 1, 1, 3]])
TYPES = torch.tensor([[0, 0, 2, 0, 1, 1, 3, 1]])


def log_odds(scores):
    return scores[:, 0] - scores[:, 1:].logsumexp(dim=1)


def plain(output, _linear):
    return log_odds(output)


def made(**options):
    torch.manual_seed(0)
    return perturbed(classifier(**options)).eval()


def captum(model, *, n_steps, token_types=None, score=log_odds):
    explainer = LayerIntegratedGradients(lambda ids, types: score(model(ids, types)), model.encoder.embedding)
    types = torch.zeros_like(IDS) if token_types is None else token_types
    with use("torch"):
        found = explainer.attribute(IDS, baselines=BASELINE, additional_forward_args=(types,), n_steps=n_steps)
    return found.sum(dim=-1)[0].detach()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_equal_to_captum(options):
    model = made(**options)
    found = attribute(model, model.encoder.embedding, IDS, BASELINE, plain, steps=50)
    torch.testing.assert_close(found.tokens.float(), captum(model, n_steps=50), rtol=0, atol=1e-5)


@pytest.mark.parametrize("options", [{"head": PairHead, "token_types": 4}, {"head": ClsHead}, {"dim": 8},
                                     {"convolutions": (3, 5)}], ids=str)
def test_equal_to_captum_for_other_inputs_and_heads(options):
    model = made(**options)
    types = TYPES if "token_types" in options else None
    found = attribute(model, model.encoder.embedding, IDS, BASELINE, plain, token_types=types, steps=50)
    torch.testing.assert_close(found.tokens.float(), captum(model, n_steps=50, token_types=types), rtol=0, atol=1e-5)


def test_the_chosen_number_of_steps_is_enough():
    """Captum with many more steps gives the same contributions, to 1 % of all of them together."""
    model = made()
    found = attribute(model, model.encoder.embedding, IDS, BASELINE, plain)
    assert found.n_steps < 512
    assert (found.tokens - captum(model, n_steps=512)).abs().max() <= 0.01 * found.tokens.abs().sum()


def test_equal_to_captum_with_linear_terms_on_the_same_path():
    model = made()
    torch.manual_seed(1)
    terms = torch.randn(5, 3)
    bias = torch.randn(3)

    def score(output, linear):
        return log_odds(0.4 * output + 0.7 * (linear + bias))

    def forward(embedded, linear):
        with embedded_as(model.encoder.embedding, embedded):
            return score(model(IDS.expand(len(embedded), -1)), linear)

    inputs = [model.encoder.embedding(ids).detach() for ids in (IDS, BASELINE)]
    with use("torch"):
        of_tokens, of_logits = IntegratedGradients(forward).attribute(
            (inputs[0], terms.sum(dim=0)[None]), baselines=(inputs[1], torch.zeros(1, 3)), n_steps=64)
    found = attribute(model, model.encoder.embedding, IDS, BASELINE, score, terms=terms, steps=64)
    torch.testing.assert_close(found.tokens.float(), of_tokens.sum(dim=-1)[0], rtol=0, atol=1e-5)
    assert float(found.terms.sum()) == pytest.approx(float(of_logits.sum()), abs=1e-5)
    assert found.relative_error < 0.01


def test_the_terms_of_two_classes_are_exact():
    """With two classes the log-odds are a sum, so that a term contributes its own logits whatever the Transformer."""
    model = made()
    terms = torch.randn(4, 2)
    found = attribute(model, model.encoder.embedding, IDS, BASELINE,
                      lambda output, linear: log_odds(0.4 * output[:, :2] + 0.7 * linear), terms=terms, steps=3)
    torch.testing.assert_close(found.terms.float(), 0.7 * (terms[:, 0] - terms[:, 1]), rtol=0, atol=1e-6)


def test_a_linear_score_has_its_weights_as_contributions():
    model = made()
    embedding = model.encoder.embedding
    weight = torch.randn(8, 16)

    def score(_output, _linear):
        return (recorded[-1] * weight).sum(dim=(1, 2))

    recorded = []
    hook = model.encoder.embedding_norm.register_forward_pre_hook(lambda _m, args: recorded.append(args[0]))
    found = attribute(model, embedding, IDS, BASELINE, score, steps=1)  # positions are added to both
    hook.remove()
    expected = ((embedding(IDS) - embedding(BASELINE))[0] * weight).sum(dim=-1)
    torch.testing.assert_close(found.tokens.float(), expected.detach(), rtol=0, atol=1e-4)
    assert found.relative_error < 1e-5


def test_tokens_of_the_baseline_contribute_nothing():
    model = made()
    found = attribute(model, model.encoder.embedding, IDS, BASELINE, plain)
    assert found.tokens[[0, -1]].tolist() == [0, 0]
    assert (found.tokens[1:-1] != 0).all()
    same = attribute(model, model.encoder.embedding, BASELINE, BASELINE, plain)
    assert (same.sum, same.difference, same.relative_error) == (0, 0, 0)
    assert same.is_complete


def test_steps_are_raised_until_the_sum_is_close_enough():
    model = made()
    few = attribute(model, model.encoder.embedding, IDS, BASELINE, plain, steps=1)
    assert not few.is_complete
    found = attribute(model, model.encoder.embedding, IDS, BASELINE, plain, steps=(1, *STEPS))
    assert found.n_steps > 1
    assert found.relative_error <= 0.01
    assert found.sum == pytest.approx(found.difference, rel=0.01)
    with torch.no_grad(), use("torch"):
        expected = [float(plain(model(ids), None)) for ids in (IDS, BASELINE)]
    assert [found.score, found.baseline_score] == pytest.approx(expected, abs=1e-5)


def test_a_result_that_is_not_complete_is_the_most_accurate_one_and_known_as_such():
    model = made()
    errors = {n: attribute(model, model.encoder.embedding, IDS, BASELINE, plain, steps=n).relative_error
              for n in (1, 2, 3)}
    found = attribute(model, model.encoder.embedding, IDS, BASELINE, plain, steps=(1, 2, 3))
    assert found.n_steps == min(errors, key=errors.__getitem__)
    assert found.is_complete == (min(errors.values()) <= 0.01)
    with pytest.raises(ValueError, match="steps"):
        attribute(model, model.encoder.embedding, IDS, BASELINE, plain, steps=())


def test_batches_of_the_path_do_not_change_the_result(monkeypatch):
    model = made()
    whole = attribute(model, model.encoder.embedding, IDS, BASELINE, plain, steps=20)
    monkeypatch.setattr("transformer.inspect.attribution.MAX_POSITIONS", 3 * IDS.shape[1])
    parts = attribute(model, model.encoder.embedding, IDS, BASELINE, plain, steps=20)
    torch.testing.assert_close(parts.tokens, whole.tokens, rtol=0, atol=1e-6)


def test_a_score_of_one_token():
    torch.manual_seed(0)
    model = perturbed(tagger()).eval()
    found = attribute(model, model.encoder.embedding, IDS, BASELINE, lambda output, _: log_odds(output[:, 4]))
    explainer = LayerIntegratedGradients(lambda ids: log_odds(model(ids)[:, 4]), model.encoder.embedding)
    with use("torch"):
        expected = explainer.attribute(IDS, baselines=BASELINE, n_steps=found.n_steps).sum(dim=-1)[0]
    torch.testing.assert_close(found.tokens.float(), expected.detach(), rtol=0, atol=1e-5)


@needs_code
@pytest.mark.parametrize("engine", ["native", "auto"])
def test_other_engines_are_not_used(engine):
    model = made(positions="none")
    expected = attribute(model, model.encoder.embedding, IDS, BASELINE, plain)
    with use(engine):
        found = attribute(model, model.encoder.embedding, IDS, BASELINE, plain)
    assert torch.equal(found.tokens, expected.tokens)


def test_no_hook_remains_after_an_error():
    model = made()

    def fails(_output, _linear):
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        attribute(model, model.encoder.embedding, IDS, BASELINE, fails)
    assert not model.encoder.embedding._forward_hooks
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_the_quadrature_is_exact_for_polynomials(n):
    nodes, weights = gauss_legendre(n)
    for degree in range(2 * n):
        assert weights @ nodes**degree == pytest.approx(1 / (degree + 1), rel=1e-10)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_difference_near_the_rounding_error_is_computed_in_float64(options):
    """The score has an offset so large that its rounding error in float32 is above 1 % of the difference."""
    model = made(**options)
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def offset(output, _linear):
        return log_odds(output) * 1e-4 + 1000.0

    assert not attribute(model, model.encoder.embedding, IDS, BASELINE, offset, steps=64).is_complete
    found = attribute(model, model.encoder.embedding, IDS, BASELINE, offset)
    assert found.is_complete
    exact = attribute(model, model.encoder.embedding, IDS, BASELINE, plain, steps=found.n_steps)
    torch.testing.assert_close(found.difference * 1e4, exact.difference, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.tokens * 1e4, exact.tokens, rtol=0, atol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
