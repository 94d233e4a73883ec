"""The HTTP API of finished runs and its page (``vecformer serve``)."""
