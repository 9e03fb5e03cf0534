"""The interface through which couriers fetch sealed cells and deliver signed bundles."""
