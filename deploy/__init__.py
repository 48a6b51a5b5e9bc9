"""From a bundle to an endpoint elsewhere: the image, what is to run, and the targets that run it."""
