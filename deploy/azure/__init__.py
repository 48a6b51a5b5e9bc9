"""Azure Container Instances: the one target there is."""
