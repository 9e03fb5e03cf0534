"""The courier: carries sealed cells and signed bundles between servers and sticks. Never imports the vault."""
