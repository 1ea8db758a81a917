"""The model of the bidder: the training job and the serving container. Meets the bidder by files and HTTP alone."""
