"""The group ``comfychain graph``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from activities.library import read_graph
from comfychain.cli.exits import reported
from comfychain.cli.options import AsJson
from comfychain.cli.output import print_json, print_table
from contracts.graphs import Graph, GraphInput, GraphNode, parse_graph

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Look into ComfyUI graphs.",
)

_VALUE_CHARACTERS = 60


@app.callback()
def _group() -> None:
    pass


@app.command("inspect")
def inspect(
    graph: Annotated[Path, typer.Argument(metavar="GRAPH.json", help="A graph in API format.")],
    as_json: AsJson = False,
) -> None:
    """List a graph's inputs, as chain parameters name them, and the nodes that make its outputs."""
    with reported():
        parsed = parse_graph(read_graph(graph))
    outputs = output_nodes(parsed)
    if as_json:
        print_json(
            {
                "sha256": parsed.sha256,
                "node_classes": parsed.node_classes,
                "inputs": [_input_json(item) for item in parsed.inputs()],
                "outputs": [_output_json(node) for node in outputs],
            }
        )
        return
    print_table(
        ("input", "node class", "title", "value"),
        [(item.address, item.class_type, item.title, _shown(item)) for item in parsed.inputs()],
        title="Inputs",
    )
    print_table(
        ("node", "node class", "title"),
        [(node.id, node.class_type, node.title) for node in outputs],
        title="Outputs",
    )


def output_nodes(graph: Graph) -> list[GraphNode]:
    """The nodes that save or preview, by the names their classes have; offline nothing else tells.

    A class of another name whose node nobody links to is one too: it would not be there for nothing.
    """
    linked = {str(item.value[0]) for item in graph.inputs() if item.is_link}
    return [
        node
        for node in graph.nodes.values()
        if "save" in node.class_type.lower() or "preview" in node.class_type.lower() or node.id not in linked
    ]


def _input_json(item: GraphInput) -> dict[str, Any]:
    return {
        "address": item.address,
        "node_class": item.class_type,
        "title": item.title,
        "linked": item.is_link,
        "value": item.value,
    }


def _output_json(node: GraphNode) -> dict[str, Any]:
    return {"node": node.id, "node_class": node.class_type, "title": node.title}


def _shown(item: GraphInput) -> str:
    if item.is_link:
        return f"from node {item.value[0]}"
    text = repr(item.value)
    return text if len(text) <= _VALUE_CHARACTERS else text[: _VALUE_CHARACTERS - 1] + "…"
