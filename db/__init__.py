"""The artifact database: tables in ``models``, transactions in ``session``, one module per noun."""
