"""Backbones learn from a project's own images: fine-tuning on its labels, pre-training without any."""
