"""Files of any size, scored in mini-batches, here or on Dask."""
