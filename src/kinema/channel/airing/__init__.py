"""What is on air: the programme, the playout and its outputs, the guide."""
