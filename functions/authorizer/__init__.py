"""Who a request's API key stands for."""
