"""How good predictions are, a file a task: functions of plain strings and numbers, which know no model."""
