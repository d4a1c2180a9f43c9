"""The classroom: reading and stepping through lessons, showing, asking, remembering."""
