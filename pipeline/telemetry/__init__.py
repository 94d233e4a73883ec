"""Progress bars, profiling, time and memory of runs."""
