"""The commands, one module for each group; `add(commands)` of each is called by `_cli/main.py`."""
