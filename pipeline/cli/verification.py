"""The option ``--no-verify`` of the commands that load a run."""

from __future__ import annotations

import rich_click as click

verify_option = click.option(
    "--no-verify", "verify", is_flag=True, flag_value=False, default=True,
    help="Load the run without checking that its files have the SHA-256 listed in manifest.json.",
)
