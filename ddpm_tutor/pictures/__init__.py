"""Tensors to pixels: grids, films, film strips, figures, and the files they are saved in."""
