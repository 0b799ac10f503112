"""The SDK: what a program needs to sign in at a node, to read, and to open and check records by itself."""
