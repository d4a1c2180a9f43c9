"""What the server of processes does before it forks (see forks.py)."""

from survivor import warm_up

warm_up()
