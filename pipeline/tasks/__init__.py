"""What can be learned: one file a task, found by name through :mod:`pipeline.tasks.base`."""
