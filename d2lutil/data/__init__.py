"""Fashion-MNIST, decompressed, and its licence."""
