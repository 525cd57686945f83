"""Styles of text in a terminal, which are empty if the output is no terminal."""

import sys

BOLD, DIM, GREEN, PLAIN = ("\033[1m", "\033[2m", "\033[32m", "\033[0m") if sys.stdout.isatty() else ("", "", "", "")
