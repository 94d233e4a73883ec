"""Executes several commands in one process, and writes the exit code and the output of each."""

from __future__ import annotations

import json
import os
import traceback
from pathlib import Path

COMMANDS, RESULTS = "FAULTS_COMMANDS", "FAULTS_RESULTS"


def execute() -> bool:
    """Execute the commands of the file named by a variable; every result is written before the next one starts."""
    from click.testing import CliRunner

    from pipeline.cli.main import cli

    commands = json.loads(Path(os.environ[COMMANDS]).read_text())
    with Path(os.environ[RESULTS]).open("w") as file:
        for argv in commands:
            done = CliRunner().invoke(cli, argv)
            trace = ""
            if done.exception is not None and not isinstance(done.exception, SystemExit):
                trace = "".join(traceback.format_exception(done.exception))
            file.write(json.dumps([done.exit_code, done.stdout, done.stderr + trace]) + "\n")
            file.flush()
    return True
