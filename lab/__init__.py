"""How readers and authors open the book in JupyterLab."""
