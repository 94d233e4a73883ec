"""``vecformer tasks``: list the tasks."""

from __future__ import annotations

import rich_click as click

from pipeline.cli.common import echo, reports_errors
from pipeline.drawing.terminal import to_json


@click.command("tasks")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@reports_errors
def tasks_command(as_json: bool) -> None:
    """List the tasks with their measures, file formats and own configuration keys.

    \b
    vecformer tasks
    vecformer run --task tagging --data entities/
    """
    from pipeline.commands.tasks import tasks

    listed = tasks()
    echo(to_json(listed) if as_json else "\n\n".join(
        "\n".join([one["name"], f"  {one['description']}",
                   *(f"  {measure['name']:<18} {measure['help']}" for measure in one["measures"]),
                   *([f"  files  {' '.join(one['files'])}"] if one["files"] else []),
                   *([f"  keys   {' '.join(one['keys'])}"] if one["keys"] else []),
                   *([f"  baselines  {', '.join(one['baselines'])}"] if one["baselines"] else [])])
        for one in listed))
