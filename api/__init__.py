"""The HTTP API and the review pages: what people and scripts ask of a house over HTTP."""
