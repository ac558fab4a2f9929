"""The model of annotators: from votes to confusion matrices, posteriors and trust."""
