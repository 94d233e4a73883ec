"""Interactive HTML pages that commands write."""
