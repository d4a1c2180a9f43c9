"""The science: equations, networks, data, training, sampling. Nothing here knows of a terminal."""
