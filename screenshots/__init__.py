"""The pictures of the console, and what makes them."""
