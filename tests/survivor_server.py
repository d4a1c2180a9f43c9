"""What the server of test_survival does before it forks."""

from survivor import warm_up

warm_up()
