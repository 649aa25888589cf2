"""What a person does with a model."""
