"""What every training shares: recipes as stages, the loop, checkpoints, optimisers, several processes."""
