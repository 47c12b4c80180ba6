"""Whether a channel is what its catalog says, down to the last byte, and its repair."""
