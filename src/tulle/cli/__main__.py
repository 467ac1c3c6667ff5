"""`python -m tulle.cli`: how a detached agent is started, wherever the script is installed."""

from tulle.cli import main

main()
