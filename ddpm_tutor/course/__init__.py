"""The course: lessons and exercises as files, cut into cells, read and checked. No torch here."""
