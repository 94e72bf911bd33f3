"""What the API takes and answers: the models that requests are checked against, and that its OpenAPI document shows."""
