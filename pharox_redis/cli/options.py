"""Options that many commands have, so that they are the same everywhere."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")
]
YesOption: TypeAlias = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask before something is lost.")
]
ShowSecretsOption: TypeAlias = Annotated[
    bool, typer.Option("--show-secrets", help="Show passwords instead of ***.")
]
