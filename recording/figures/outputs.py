"""Store the outputs of cells that show a figure, without executing their notebook."""

import ast

import nbformat
from nbformat.v4 import new_output

from d2lutil.pages import explorable, sections
from recording.run import store


def figure_output(cell: sections.Cell) -> tuple[str, str]:
    """Return which figure a cell shows, and in which state.

    Args:
        cell: A cell with the tag figure, whose last line is
            `gb.explorable("convolution", "signs")`.

    Raises:
        ValueError: The last line is something else.
    """
    last = ast.parse(sections.source(cell)).body[-1]
    match last:
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(attr="explorable"),
                args=[ast.Constant(value=figure), ast.Constant(value=state)],
                keywords=[],
            )
        ):
            return str(figure), str(state)
    raise ValueError(
        f"{cell['id']} has the tag figure; end it with a line such as "
        'gb.explorable("convolution", "signs").'
    )


def store_outputs(name: str) -> None:
    """Show its figures in a notebook, and number its code cells anew if there are any.

    Args:
        name: Name of the notebook: "01-conv-layer".
    """
    notebook = nbformat.read(sections.path(name), as_version=4)
    cells = sections.code_cells(notebook)
    shown = [cell for cell in cells if sections.is_figure(cell)]
    if not shown:
        return

    for count, cell in enumerate(cells, start=1):
        cell["execution_count"] = count
        for output in cell["outputs"]:
            if output["output_type"] == "execute_result":
                output["execution_count"] = count
    for cell in shown:
        bundle = explorable.explorable(*figure_output(cell))._repr_mimebundle_()
        cell["outputs"] = [
            new_output(
                "execute_result", bundle, execution_count=cell["execution_count"]
            )
        ]
    store(notebook, sections.path(name))


def store_all() -> None:
    """Show the figures in all notebooks."""
    for name in sections.notebook_names():
        store_outputs(name)
