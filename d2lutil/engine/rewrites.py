"""Rewrite a graph so that oneDNN runs it faster; what it computes stays the same.

A graph is what `mx.sym.Symbol.tojson` writes, as a dictionary. What each rewrite wins
is measured in benchmarks/README.md.
"""

from typing import Any

Graph = dict[str, Any]
Node = dict[str, Any]
Shapes = dict[str, tuple[int, ...]]

_FUSED = "_contrib_BatchNormWithReLU"

# Operators that keep the layout of their one array.
_LAYOUT_STAYS = {"Activation", "BatchNorm", _FUSED, "Pooling"}

# oneDNN's blocks of channels.
_BLOCK = 16


def use_onednn_operators(graph: Graph, shapes: Shapes) -> None:
    """Replace operators by their twins from oneDNN.

    oneDNN keeps arrays in blocks of channels. MXNet's own `relu` and `broadcast_add`
    need the plain layout, so that every residual block would convert its arrays back
    and forth.

    Args:
        graph: Graph; it is changed.
        shapes: Shapes of its inputs and of its operators with one output, by name.
    """
    for node in graph["nodes"]:
        if node["op"] == "relu":
            node |= {"op": "Activation", "attrs": {"act_type": "relu"}}
        elif node["op"] == "broadcast_add":
            left, right = (graph["nodes"][i]["name"] for i, *_ in node["inputs"])
            if left in shapes and shapes[left] == shapes.get(right):
                node["op"] = "elemwise_add"


def fuse_batch_norm_with_relu(graph: Graph, shapes: Shapes) -> None:
    """Let batch normalisation apply the ReLU that follows it.

    One pass over the array instead of two, and two again in the backward pass.

    Args:
        graph: Graph after `use_onednn_operators`; it is changed.
        shapes: Shapes of its inputs and of its operators, by name.
    """
    nodes = graph["nodes"]
    used = [tuple(entry[:2]) for node in nodes for entry in node["inputs"]]
    used += [tuple(entry[:2]) for entry in graph["heads"]]

    for node in nodes:
        if node["op"] != "Activation" or node["attrs"]["act_type"] != "relu":
            continue
        source = tuple(node["inputs"][0][:2])
        norm = nodes[source[0]]
        is_image = len(shapes[node["name"]]) == 4
        if _is_over_channels(norm) and is_image and used.count(source) == 1:
            # What normalised is not part of the graph any more.
            node |= {"op": _FUSED, "attrs": norm["attrs"], "inputs": norm["inputs"]}


def keep_head_in_float32(graph: Graph, data: str, shapes: Shapes) -> list[str]:
    """Let a first convolution of few channels, and what normalises it, stay in float32.

    In bfloat16, oneDNN gives the output of such a convolution the plain layout, and its
    batch normalisation of plain arrays in bfloat16 is more than ten times as slow. In
    float32 it gives blocks of channels. Without batch normalisation, nothing changes.

    Args:
        graph: Graph after the other rewrites; casts to bfloat16 are added to it.
        data: Name of its input.
        shapes: Shapes of its inputs and of its operators, by name.

    Returns:
        The names of the convolutions.
    """
    nodes = graph["nodes"]
    convolutions = [
        node
        for node in nodes
        if node["op"] == "Convolution"
        and nodes[node["inputs"][0][0]]["name"] == data
        and shapes[data][1] < _BLOCK
    ]
    head = _with_what_follows(convolutions, nodes)
    if not any("BatchNorm" in node["op"] for node in head):
        return []

    in_head = {node["name"] for node in head}
    for node in [node for node in nodes if node["name"] not in in_head]:
        for entry in node["inputs"]:
            if nodes[entry[0]]["name"] in in_head:
                entry[:] = [_cast_of(entry, graph), 0, 0]
    return [node["name"] for node in convolutions]


def _is_over_channels(node: Node) -> bool:
    """Tell whether a node normalises as the fused operator can: each channel alone."""
    options = node.get("attrs", {})
    return (
        node["op"] == "BatchNorm"
        and options.get("axis", "1") == "1"
        and options.get("use_global_stats", "False") == "False"
        and options.get("output_mean_var", "False") == "False"
    )


def _with_what_follows(start: list[Node], nodes: list[Node]) -> list[Node]:
    """Return the nodes, and those after them as long as the layout stays."""
    found = list(start)
    for node in nodes:
        if node["op"] in _LAYOUT_STAYS and nodes[node["inputs"][0][0]] in found:
            found.append(node)
    return found


def _cast_of(entry: list[int], graph: Graph) -> int:
    """Return the index of the node that casts an output to bfloat16; add it if need be.

    Args:
        entry: Index of a node, and which output of it.
        graph: Graph.
    """
    nodes = graph["nodes"]
    name = f"{nodes[entry[0]]['name']}_{entry[1]}_bfloat16"
    for i, node in enumerate(nodes):
        if node["name"] == name:
            return i

    nodes.append(
        {
            "op": "amp_cast",
            "name": name,
            "attrs": {"dtype": "bfloat16"},
            "inputs": [list(entry)],
        }
    )
    return len(nodes) - 1
