"""What runs around the endpoint: scoring files of any size, here or on Dask."""
