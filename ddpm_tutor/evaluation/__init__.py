"""How good are drawn digits? A classifier, scores, and the scorecard of a network."""
