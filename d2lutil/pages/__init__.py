"""What works on the notebooks of the book."""
