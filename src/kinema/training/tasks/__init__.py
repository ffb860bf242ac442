"""What can be learnt: one task a file, with its loss, its measurements and what it leaves behind."""
