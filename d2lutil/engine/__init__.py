"""How a training is run: the machine, static graphs, checkpoints."""
