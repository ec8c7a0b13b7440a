"""Doors of the package, each with odd inputs and a plain law of what must come of them; torture.py tries them."""
