"""Files at rest: the ``Store`` protocol with S3's semantics, and its local implementation."""
