"""``python -m tvmtiny``: the command line."""

from tvmtiny.cli.main import main

main()
