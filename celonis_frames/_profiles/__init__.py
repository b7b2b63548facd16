"""Profiles: connections that `celonis-frames login` stores, and which connection is used."""
