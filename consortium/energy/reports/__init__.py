"""What the API tells a party of what it may open: pure functions from opened records to answers in the API's words."""
