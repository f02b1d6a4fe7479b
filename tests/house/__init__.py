"""The house's own rules: what lies where, what it is called, and what is never written down."""
