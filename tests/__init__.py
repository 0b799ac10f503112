"""The suites: unit, property, ports, integration, faults."""
