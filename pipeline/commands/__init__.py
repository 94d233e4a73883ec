"""What each command does, as plain functions; :mod:`pipeline.cli` only parses their arguments and prints."""
