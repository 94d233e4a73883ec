"""The settings of a fit apply until the last of several overlapping fits ends."""

import warnings
from contextlib import ExitStack

from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_info, threadpool_limits

from pipeline.baselines.linear import fitting


def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def caught():
    """Whether a warning of scikit-learn is shown."""
    with warnings.catch_warnings(record=True) as shown:
        warnings.warn("not converged", ConvergenceWarning, stacklevel=1)
    return bool(shown)


def test_overlapping_fits_restore_what_was_before():
    with threadpool_limits(2, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("always")
        before = blas_threads(), caught()
        first, second = ExitStack(), ExitStack()
        first.enter_context(fitting())
        second.enter_context(fitting())
        first.close()
        assert (blas_threads(), caught()) == ({1}, False)
        second.close()
        assert (blas_threads(), caught()) == before
