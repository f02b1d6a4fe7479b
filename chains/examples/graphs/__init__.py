"""API graphs of the shipped chains; none of them needs a model. A package, so that a wheel holds them."""
