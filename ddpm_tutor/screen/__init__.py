"""The terminal: tensors, tables, prose, code and pictures on it, and the keyboard."""
