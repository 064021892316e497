"""Makes what the interactive figures of the book need: `make figures`."""
