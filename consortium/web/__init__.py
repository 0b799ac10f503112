"""The HTTP API: FastAPI, RFC 9457 problems, OpenAPI."""
