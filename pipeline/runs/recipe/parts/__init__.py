"""The parts of recipes, one in each file."""
