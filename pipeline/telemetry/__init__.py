"""Progress, profiling, and the resources that a run used."""
