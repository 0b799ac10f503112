"""What people bring: a model per submitted type, from the API's words to sealed sections."""
