"""Reading of pretrained Transformers: checkpoints of Hugging Face as an encoder or a decoder."""
