"""The paper: schedule, equations, networks, training, sampling. No terminal, no file, no flag."""
