"""Measures, one file per task: functions of plain strings and numbers."""
