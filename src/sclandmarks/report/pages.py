"""What all pages share: their template, and figures put into its sections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sclandmarks.report.style import inline

if TYPE_CHECKING:
    from sclandmarks.report.plots import Drawing


@cache
def template(name: str) -> Any:
    """A template of this package: everything is escaped, and a name that is not given is an error."""
    environment = Environment(
        loader=PackageLoader("sclandmarks", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def by_section(drawn: Iterable[Drawing], svgs: Mapping[str, str]) -> dict[str, list[Markup]]:
    """Section -> its figures, to be put into the page; `svgs` are the figures by name."""
    shown: dict[str, list[Markup]] = {}
    for drawing in drawn:
        shown.setdefault(drawing.section, []).append(inline(svgs[drawing.name], drawing.name, drawing.alt))
    return shown
