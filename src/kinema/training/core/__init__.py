"""The parts that all trainings share: stages, the loop, checkpoints, optimizers and data parallelism."""
