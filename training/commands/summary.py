"""`summary`: what a network is made of and what it costs."""
# ruff: noqa: PLC0415 - torch takes seconds to import, and --help shall not

from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from training.commands.common import one_line_errors
from training.options import Activation, NetOptions

if TYPE_CHECKING:
    from training.summary import Layer

EXAMPLE = "python -m training summary vgg16 --num-classes 1000 --in-channels 3"
RIGHT = ("output", "parameters", "multiply-adds", "receptive\nfield")
SOURCES = """\
output: ⌊(in + 2p − k)/s⌋ + 1 (Dumoulin and Visin 2016)
parameters: k·k·c_in·c_out + c_out
multiply-adds: k·k·c_in·c_out·H·W (Molchanov et al. 2017)
receptive field: F(i) = (F(i+1) − 1)·stride + k (Araujo et al. 2019)"""


def summary(
    net: Annotated[str, typer.Argument(help="Network to describe.")],
    *,
    num_classes: Annotated[int, typer.Option(min=1, help="Classes that it tells apart.")] = 10,
    in_channels: Annotated[int, typer.Option(help="1 for grey images, 3 for RGB.")] = 1,
    size: Annotated[int | None, typer.Option(min=1, help="Side of the images; by default the published one.")] = None,
    width: Annotated[float, typer.Option(min=0.01, max=4, help="Multiplies what is hidden.")] = 1.0,
    activation: Annotated[Activation | None, typer.Option(help="By default the net's own.")] = None,
    batch_norm: Annotated[bool, typer.Option("--batch-norm", help="With batch normalisation.")] = False,
) -> None:
    """Show the layers of a network with output shape, parameters, multiply-adds and receptive field."""
    with one_line_errors():
        from training.summary import summarise

        options = NetOptions(width=width, activation=activation, batch_norm=batch_norm)
        layers = summarise(net, num_classes, in_channels, None if size is None else (size, size), options)
    console = Console(highlight=False)
    console.print(_table(net, layers))
    console.print(SOURCES)


def _table(net: str, layers: list["Layer"]) -> Table:
    table = Table(title=net, title_justify="left", show_footer=True, box=box.SIMPLE)
    totals = {
        "parameters": f"{sum(layer.parameters for layer in layers):,}",
        "multiply-adds": f"{sum(layer.multiply_adds for layer in layers):,}",
    }
    table.add_column("layer", "total", no_wrap=True, min_width=max(len(layer.name) for layer in layers))
    table.add_column("kind", no_wrap=True, max_width=11)
    for column in RIGHT:
        table.add_column(column, totals.get(column, ""), justify="right", no_wrap=True)
    for layer in layers:
        table.add_row(
            layer.name,
            layer.kind,
            "×".join(str(side) for side in layer.output),
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.multiply_adds:,}" if layer.multiply_adds else "",
            "all" if layer.receptive_field is None else str(layer.receptive_field),
        )
    return table
