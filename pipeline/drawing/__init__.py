"""Plots, page templates and number formatting of the self-contained HTML reports."""
