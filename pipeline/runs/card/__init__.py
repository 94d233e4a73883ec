"""The card of a run: ``README.md`` in the form of a Hugging Face model card."""
