"""Disks and the network: MNIST, checkpoints, training runs, drawn digits."""
