"""Methods of a vocabulary transplant, one file per method."""
