"""Lessons and entries as HTML pages: one file each, which loads nothing else."""
