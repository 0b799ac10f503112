"""The market's rules as pure functions. Energy is integer watt-hours, time is UTC milliseconds."""
