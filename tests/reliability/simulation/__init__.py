"""The delivery machine in virtual time; README.md says how to run it."""
