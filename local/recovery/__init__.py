"""The rules with which `make restore` decides on each item of a restored table, and copies it."""
