"""What stands in sealed payloads, a frozen type per section. Formats: docs/formats.md, "Payloads"."""
