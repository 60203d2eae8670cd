"""`bursar completion SHELL`: the script by which a shell completes commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print a completion script.

    \b
    bash: eval "$(bursar completion bash)"    in ~/.bashrc
    zsh:  eval "$(bursar completion zsh)"     in ~/.zshrc, after compinit
    fish: bursar completion fish | source     in ~/.config/fish/config.fish
    """
    root = click.get_current_context().find_root().command
    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(root, {}, "bursar", "_BURSAR_COMPLETE").source())
