"""A run: training, its folder on disk, loading it again, its report."""
