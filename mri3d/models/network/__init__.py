"""A convolutional network as a model, trained by Lightning."""
